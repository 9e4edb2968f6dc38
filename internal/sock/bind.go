//go:build unix

package sock

import (
	"os"

	"golang.org/x/sys/unix"
)

// Bind gives the socket fd the local address a, to connect from.
func Bind(fd int, a Addr) error {
	sa, err := toSockaddr(a)
	if err != nil {
		return err
	}
	return os.NewSyscallError("bind", unix.Bind(fd, sa))
}

// Unlink removes the file of a Unix socket; an abstract one has none.
func Unlink(a Addr) {
	if a.Path != "" && a.Path[0] != '@' {
		unix.Unlink(a.Path) // gone already is as good
	}
}
