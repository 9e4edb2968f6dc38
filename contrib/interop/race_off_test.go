//go:build !race

package interop

// underRace: the race detector is on, and everything takes ten times as long.
const underRace = false
