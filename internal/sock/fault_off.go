//go:build !faults

package sock

import "syscall"

// Injected is 0 but in builds with the tag faults.
func Injected(Call, int) syscall.Errno { return 0 }

// cut is n but in builds with the tag faults.
func cut(_, n int) int { return n }
