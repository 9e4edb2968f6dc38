//go:build race

package stream

// underRace: the detector allocates where the program does not.
const underRace = true
