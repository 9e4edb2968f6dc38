package conn

import (
	"time"

	"golang.org/x/sys/unix"
)

// unheard reports whether bytes of a TCP socket have not reached the peer's TCP
// yet; and with a hush, whether any byte was on the way within that time, in
// either direction. See tcp(7), TCP_INFO.
func unheard(fd int, hush time.Duration) bool {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil || info.Unacked > 0 || info.Notsent_bytes > 0 {
		return true
	}
	silent := min(info.Last_data_sent, info.Last_data_recv)
	return time.Duration(silent)*time.Millisecond < hush
}
