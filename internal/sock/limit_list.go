//go:build linux || darwin

package sock

import (
	"os"

	"golang.org/x/sys/unix"
)

// countEntries counts what dir lists, without the descriptor that it reads dir
// through. Not with package os, whose File would bring the runtime's poller
// and its descriptors to life.
func countEntries(dir string) (int, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, os.NewSyscallError("open", err)
	}
	defer unix.Close(fd)
	total := 0
	buf := make([]byte, 8<<10)
	var names []string
	for {
		n, err := unix.ReadDirent(fd, buf)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return 0, os.NewSyscallError("getdents", err)
		case n <= 0:
			return total - 1, nil
		}
		_, k, list := unix.ParseDirent(buf[:n], -1, names[:0])
		total, names = total+k, list
	}
}
