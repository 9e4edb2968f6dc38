package idemgrpc

// Replay is replay, and Result is result.
var (
	Replay = replay
	Result = result
)
