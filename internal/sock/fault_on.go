//go:build faults

package sock

import (
	"sync/atomic"
	"syscall"
)

// Faults decides what becomes of calls. Its functions are called on whatever
// goroutine makes the call, at once with others; fd is -1 where there is none
// yet. They must not call this package.
type Faults struct {
	Fail func(c Call, fd int) syscall.Errno // 0: as the kernel will have it
	Cut  func(fd, n int) int                // how many of n > 1 bytes, or pieces, are sent at once: 1 to n
}

var faults atomic.Pointer[Faults]

// Inject has calls fail from now on as f says; nil: none.
func Inject(f *Faults) { faults.Store(f) }

// Injected is the error that a call is to end with.
func Injected(c Call, fd int) syscall.Errno {
	if f := faults.Load(); f != nil && f.Fail != nil {
		return f.Fail(c, fd)
	}
	return 0
}

// cut is how many of n bytes, or pieces, are sent at once.
func cut(fd, n int) int {
	if f := faults.Load(); f != nil && f.Cut != nil && n > 1 {
		return f.Cut(fd, n)
	}
	return n
}
