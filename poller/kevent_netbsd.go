//go:build amd64 || arm64 || ppc64 || riscv64

package poller

// kevent is NetBSD's struct kevent, whose filters are unsigned and start at 0.
type kevent struct {
	ident  uint64
	filter uint32
	flags  uint32
	fflags uint32
	_      uint32
	data   int64
	udata  uintptr
}
