//go:build (darwin || dragonfly || openbsd) && (amd64 || arm64 || ppc64 || riscv64)

package poller

// kevent is struct kevent as 4.4BSD's heirs have it, with a number for a token.
type kevent struct {
	ident  uint64
	filter int16
	flags  uint16
	fflags uint32
	data   int64
	udata  uintptr
}
