package poller

import (
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system call of BenchmarkLook without anything around it: the difference
// is what this package costs.
func BenchmarkLookBare(b *testing.B) {
	p := open(b, kinds[0])
	raw := make([]unix.EpollEvent, 64)
	for b.Loop() {
		_, _, _ = syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.kernel.epfd),
			uintptr(unsafe.Pointer(&raw[0])), uintptr(len(raw)), 0, 0, 0)
	}
}
