//go:build !linux && !darwin

package timer

import "time"

const knowsSuspend = false

func suspended() time.Duration { return 0 }
