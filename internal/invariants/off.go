//go:build !invariants

// Package invariants says whether checks are compiled in that cost too much for
// every day: go test -tags invariants.
package invariants

// Enabled is a constant, so that what depends on it vanishes when it is false.
const Enabled = false
