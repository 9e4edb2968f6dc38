package redis

// Judge is judge.
var Judge = judge
