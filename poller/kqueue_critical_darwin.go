package poller

import "golang.org/x/sys/unix"

// critical timers are not coalesced with others.
const critical = unix.NOTE_CRITICAL
