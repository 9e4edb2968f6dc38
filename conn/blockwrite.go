package conn

import (
	"os"
	"syscall"

	"github.com/weir-go/weir/internal/sock"
)

// Write writes all of p and waits as long as the peer lets it. n < len(p) only
// with an error.
func (b *Blocking) Write(p []byte) (int, error) {
	b.wmu.Lock()
	n, err := b.write(p)
	b.wmu.Unlock()
	return n, err
}

func (b *Blocking) write(p []byte) (int, error) {
	if !b.users.enter() {
		return 0, ErrClosed
	}
	defer b.leave()
	done := 0
	for {
		if b.c.pending.Load() > 0 { // accepted on the callback face, not sent yet
			if err := b.awaitFlushed(); err != nil {
				return done, err
			}
		}
		// After pending: when drop has dropped these, it has shut the gate before.
		if s := b.w.state.Load(); s&(shutGate|expired) != 0 {
			if err := b.await(&b.w); err != nil {
				return done, err
			}
		}
		if done == len(p) {
			return done, nil
		}
		n, errno := sock.Send(b.fd, p[done:])
		if errno == syscall.EAGAIN {
			n, errno = b.retry(p[done:])
		}
		switch errno {
		case 0:
			b.c.tally().written.Add(uint64(n))
			if done += n; done == len(p) {
				return done, nil
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

// retry sends once more after the edge has been cleared: room that was made
// between the EAGAIN before and the clearing has spent its edge.
func (b *Blocking) retry(p []byte) (int, syscall.Errno) {
	b.w.clear(edge)
	return sock.Send(b.fd, p)
}

// awaitFlushed waits until the loop has sent what was accepted before Block.
func (b *Blocking) awaitFlushed() error {
	for b.c.pending.Load() > 0 {
		b.w.clear(edge)
		b.c.ask(askDrained)
		if b.c.pending.Load() == 0 {
			break
		}
		if err := b.await(&b.w); err != nil {
			return err
		}
	}
	return nil
}
