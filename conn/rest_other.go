//go:build !linux

package conn

import "time"

// processTime: no poller parks here, and nobody needs to know.
func processTime() time.Duration { return 0 }
