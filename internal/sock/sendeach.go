//go:build darwin || openbsd || ((linux || freebsd || netbsd || dragonfly) && race)

package sock

import "syscall"

// sendEach is Sendv without a gathering system call: one Send a piece. An
// error after the first byte is kept for the next call, which meets it again.
func sendEach(fd int, iov []Iovec) (int, syscall.Errno) {
	if len(iov) == 0 {
		return 0, 0
	}
	total := 0
	for i := range iov[:max(gather(iov), 1)] {
		p := iov[i].Bytes()
		if len(p) == 0 {
			continue
		}
		n, e := Send(fd, p)
		total += n
		if e != 0 && total == 0 {
			return 0, e
		}
		if e != 0 || n < len(p) {
			break
		}
	}
	return total, 0
}
