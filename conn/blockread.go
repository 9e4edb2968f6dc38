package conn

import (
	"io"
	"os"
	"syscall"

	"github.com/weir-go/weir/internal/sock"
)

// Read reads up to len(p) bytes and waits until there is at least one. io.EOF
// is the peer's end of stream, os.ErrDeadlineExceeded a deadline, ErrClosed a
// Close. p is the caller's throughout.
func (b *Blocking) Read(p []byte) (int, error) {
	b.rmu.Lock()
	n, err := b.read(p)
	b.rmu.Unlock()
	return n, err
}

func (b *Blocking) read(p []byte) (int, error) {
	if !b.users.enter() {
		return 0, ErrClosed
	}
	defer b.leave()
	if len(p) == 0 {
		return 0, nil // as package net: nothing to wait for
	}
	for {
		if err := b.await(&b.r); err != nil {
			return 0, err
		}
		if n, err := b.try(p); n > 0 || err != nil {
			return n, err
		}
	}
}

// try reads once: 0, nil when there was nothing after all.
func (b *Blocking) try(p []byte) (int, error) {
	if len(b.prefix) > 0 {
		return b.takePrefix(p), nil
	}
	// Cleared before the read: an edge from here on is for the next one.
	b.r.clear(edge)
	n, errno := sock.Recv(b.fd, p)
	switch {
	case n > 0:
		b.c.tally().read.Add(uint64(n))
		if n >= min(len(p), sock.MaxIO) {
			b.r.set(edge) // there may be more
		}
		return n, nil
	case errno == 0:
		b.r.set(edge) // the end stays the end
		return 0, io.EOF
	case errno == syscall.EAGAIN:
		b.doubt()
		return 0, nil
	default:
		b.r.set(edge)
		return 0, os.NewSyscallError("recv", errno)
	}
}

// await waits until a system call makes sense, or says why none does. With
// bytes in the prefix a read always does.
func (b *Blocking) await(g *gate) error {
	for {
		s := g.state.Load()
		switch {
		case s&shutGate != 0:
			return ErrClosed
		case s&expired != 0:
			return os.ErrDeadlineExceeded
		case s&(edge|over) != 0 || g == &b.r && len(b.prefix) > 0:
			return nil
		}
		g.wait()
	}
}

func (b *Blocking) takePrefix(p []byte) int {
	n := copy(p, b.prefix)
	if b.prefix = b.prefix[n:]; len(b.prefix) == 0 {
		b.prefix = nil
	}
	return n
}

// WaitRead waits until Read would not: bytes are there, or an end. It costs a
// system call more than Read alone; ReadPooled does not.
func (b *Blocking) WaitRead() error {
	b.rmu.Lock()
	defer b.rmu.Unlock()
	if !b.users.enter() {
		return ErrClosed
	}
	defer b.leave()
	for {
		if err := b.await(&b.r); err != nil || len(b.prefix) > 0 {
			return err
		}
		if b.r.state.Load()&over != 0 {
			return nil // looking would take the error that is Read's to return
		}
		b.r.clear(edge)
		if sock.Waiting(b.fd) { // an edge is a hint: its bytes may have been read by then
			b.r.set(edge)
			return nil
		}
		b.doubt()
	}
}

// doubt is what a hangup leads to that is reported although nothing is there to
// read: left to stand it would make readers spin. It may also have come since
// they looked, with the last edge that there will be; so look again after it is
// taken back.
func (b *Blocking) doubt() {
	if b.r.state.Load()&over == 0 {
		return
	}
	b.r.clear(over)
	if sock.Waiting(b.fd) {
		b.r.set(edge | over)
	}
}

// ReadPooled reads as Read does, into a buffer that it takes from pool when
// bytes are there and not before, so that a connection which waits holds none.
// The bytes are the caller's until it gives the buffer back, by pool.Put(p) or
// with any other slice of the same start. With an error there is no buffer.
func (b *Blocking) ReadPooled(pool Buffers) (p []byte, err error) {
	b.rmu.Lock()
	p, err = b.readPooled(pool)
	b.rmu.Unlock()
	return p, err
}

func (b *Blocking) readPooled(pool Buffers) ([]byte, error) {
	if !b.users.enter() {
		return nil, ErrClosed
	}
	defer b.leave()
	for {
		if err := b.await(&b.r); err != nil {
			return nil, err
		}
		p := pool.Get()
		n, err := b.try(p)
		if n > 0 {
			return p[:n], nil
		}
		pool.Put(p)
		if err != nil {
			return nil, err
		}
	}
}

// Unread gives bytes back: the next Read sees them first. They are copied. After
// Close or Callback it does nothing.
func (b *Blocking) Unread(p []byte) {
	b.rmu.Lock()
	defer b.rmu.Unlock()
	if !b.users.enter() { // on the way to the other face the loop has the prefix
		return
	}
	defer b.leave()
	b.prefix = append(append(make([]byte, 0, len(p)+len(b.prefix)), p...), b.prefix...)
	b.r.wake(edge)
}
