//go:build race

package conn

// raceEnabled: the detector allocates where the program does not.
const raceEnabled = true
