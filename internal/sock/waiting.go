//go:build unix

package sock

import "golang.org/x/sys/unix"

// Waiting reports whether Recv would return at once with something else than
// EAGAIN: bytes, the end of the stream, or an error.
func Waiting(fd int) bool {
	var p [1]byte
	for {
		switch _, _, err := unix.Recvfrom(fd, p[:], unix.MSG_PEEK|unix.MSG_DONTWAIT); err {
		case unix.EINTR:
		case unix.EAGAIN:
			return false
		default:
			return true
		}
	}
}
