package netconn

import (
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/weir-go/weir/conn"
)

// sendChunk bounds one sendfile(2), in bytes. The socket's buffer ends most
// calls before that; a signal or a deadline is not kept waiting by the rest.
const sendChunk = 1 << 20

// sendFile has the kernel move a regular file, from its current position, into
// the socket. handled is false when r is something else and nothing was done.
func (c *Conn) sendFile(r io.Reader) (n int64, err error, handled bool) {
	remain := int64(-1) // to the file's end
	limited, ok := r.(*io.LimitedReader)
	if ok {
		if limited.N <= 0 {
			return 0, nil, true
		}
		remain, r = limited.N, limited.R
	}
	raw := regular(r)
	if raw == nil {
		return 0, nil, false
	}
	s := sender{to: c.b, remain: remain}
	// The file's read lock is held for the whole transfer: its position is
	// ours, and Close waits.
	ferr := raw.Read(func(file uintptr) bool {
		s.file = int(file)
		err = c.b.RawWrite(s.send)
		return true
	})
	if limited != nil {
		limited.N -= s.sent
	}
	if err == nil {
		err = s.err
	}
	if err == nil {
		err = ferr
	}
	return s.sent, err, s.sent > 0 || !s.refused
}

// regular returns access to r if it is a regular file, by what it can do and
// not by its type: io.Copy hands in an *os.File under another name.
func regular(r io.Reader) syscall.RawConn {
	f, ok := r.(interface {
		fs.File
		syscall.Conn
	})
	if !ok {
		return nil
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// sender is one transfer.
type sender struct {
	to      *conn.Blocking
	file    int
	remain  int64 // -1: no limit
	sent    int64
	refused bool // the kernel cannot do this pair
	err     error
}

// send moves bytes until the socket is full (false) or the transfer is over.
func (s *sender) send(socket uintptr) (done bool) {
	for s.remain != 0 {
		chunk := sendChunk
		if s.remain > 0 {
			chunk = int(min(s.remain, sendChunk))
		}
		n, err := unix.Sendfile(int(socket), s.file, nil, chunk)
		switch {
		case n > 0:
			s.sent += int64(n)
			s.to.Moved(0, n)
			if s.remain > 0 {
				s.remain -= int64(n)
			}
		case err == nil:
			return true // the file's end
		case err == unix.EAGAIN:
			return false
		case err == unix.EINTR:
		case err == unix.EINVAL, err == unix.ENOSYS, err == unix.EOPNOTSUPP:
			s.refused = true
			s.err = os.NewSyscallError("sendfile", err)
			return true
		default:
			s.err = os.NewSyscallError("sendfile", err)
			return true
		}
	}
	return true
}
