package conn

import (
	"os"
	"syscall"

	"github.com/weir-go/weir/internal/sock"
)

// gatherMax is how many pieces go into one gathered write of Writev.
const gatherMax = 64

// Writev writes all bytes of bufs in order, gathered, and waits as Write does.
// The slices of bufs are left as they are.
func (b *Blocking) Writev(bufs [][]byte) (int64, error) {
	b.wmu.Lock()
	defer b.wmu.Unlock()
	if len(bufs) == 1 {
		n, err := b.write(bufs[0])
		return int64(n), err
	}
	if !b.users.enter() {
		return 0, ErrClosed
	}
	defer b.leave()
	var done int64
	at := 0 // sent of bufs[0]
	for {
		if s := b.w.state.Load(); s&(shutGate|expired) != 0 {
			if err := b.await(&b.w); err != nil {
				return done, err
			}
		}
		if err := b.awaitFlushed(); err != nil {
			return done, err
		}
		var iov [gatherMax]sock.Iovec
		k := gather(iov[:], bufs, at)
		if k == 0 {
			return done, nil
		}
		n, errno := sock.Sendv(b.fd, iov[:k])
		if errno == syscall.EAGAIN {
			b.w.clear(edge)
			n, errno = sock.Sendv(b.fd, iov[:k])
		}
		switch errno {
		case 0:
			b.c.tally().written.Add(uint64(n))
			done += int64(n)
			if bufs, at = advance(bufs, at, n); len(bufs) == 0 {
				return done, nil // before the deadline is looked at again
			}
		case syscall.EAGAIN:
			if err := b.await(&b.w); err != nil {
				return done, err
			}
		default:
			return done, os.NewSyscallError("send", errno)
		}
	}
}

// gather fills iov with what is unsent of bufs, at bytes into the first.
func gather(iov []sock.Iovec, bufs [][]byte, at int) (k int) {
	for _, p := range bufs {
		if p = p[at:]; len(p) > 0 {
			iov[k].Set(p)
			if k++; k == len(iov) {
				break
			}
		}
		at = 0
	}
	return k
}

// advance takes n sent bytes off bufs.
func advance(bufs [][]byte, at, n int) ([][]byte, int) {
	for at += n; len(bufs) > 0 && at >= len(bufs[0]); bufs = bufs[1:] {
		at -= len(bufs[0])
	}
	return bufs, at
}
