//go:build !unix

package proc

import "time"

// Own is the CPU time that this process has used; this system does not tell.
func Own() (time.Duration, bool) { return 0, false }
