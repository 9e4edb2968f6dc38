package conn

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"syscall"
	"time"

	"github.com/weir-go/weir/internal/sock"
)

func (s *stream) write(f func([]byte) (int, error), n int) {
	p := s.out.next(n)
	k, err := f(p)
	clear(p) // they are the caller's again
	switch {
	case k < 0 || k > n:
		s.fail("write of %d bytes took %d", n, k)
	case k < n && err == nil || k == n && err != nil && n > 0 && !s.broken:
		s.fail("write of %d bytes took %d, with error %v", n, k, err)
	}
	s.out.put += k
	s.refusal(err)
}

func (s *stream) writeShared(f func(*Shared) error, n int) {
	p := bytes.Clone(s.out.next(n))
	freed := false
	b := NewShared(p, func() {
		if freed {
			s.fail("shared bytes freed twice")
		}
		freed = true
	})
	err := f(b)
	b.Release()
	if err == nil {
		s.out.put += n
		s.shared = max(s.shared, n)
	}
	s.refusal(err)
}

// refusal judges why a write was not taken.
func (s *stream) refusal(err error) {
	switch {
	case err == nil || err == ErrFull || err == ErrBudget:
	case err == ErrBlocking && (s.b != nil || s.moving):
	case err == ErrClosed && (s.closed || s.finished || s.broken || s.overs > 0):
	case s.peerClosed || s.broken: // the socket's error
	default:
		s.fail("write: %v", err)
	}
}

func (s *stream) post() {
	err := s.c.Post(func(c *Conn) {
		s.alive("a posted function")
		s.consume(c)
		s.react(c)
		s.react(c)
	})
	if err != nil && s.overs == 0 && s.b == nil && !s.broken && !s.closed {
		s.fail("post: %v", err)
	}
}

func (s *stream) peerWrite(n int) {
	if s.peerShut {
		return
	}
	k, errno := sock.Send(s.peer, s.in.next(n))
	switch {
	case errno == 0:
		s.in.put += k
	case errno == syscall.EAGAIN:
	case s.closed || s.broken || s.overs > 0:
	default:
		s.fail("peer: send: %v", errno)
	}
}

// peerRead reads up to n bytes at the peer's end.
func (s *stream) peerRead(n int) {
	if s.peerClosed || n == 0 {
		return
	}
	p := make([]byte, n)
	k, errno := sock.Recv(s.peer, p)
	switch {
	case errno == syscall.EAGAIN:
	case errno != 0:
		// The reset of a socket pair: we closed with input unread.
		if s.out.atEnd = true; !s.closed && !s.broken && s.overs == 0 {
			s.fail("peer: recv: %v", errno)
		}
	case k == 0:
		s.out.atEnd = true
		if !s.closed && !s.finished && !s.broken && s.overs == 0 {
			s.fail("the peer read an end of stream that nobody made")
		}
	default:
		if err := s.out.check(p[:k]); err != nil {
			s.fail("the peer read: %v", err)
		}
		s.out.got += k
	}
}

func (s *stream) toBlocking() {
	if s.b != nil || s.overs > 0 || s.closed || s.broken {
		return
	}
	s.c.Resume()
	s.c.Post(func(c *Conn) {
		s.alive("a posted function")
		if s.closed || s.broken {
			return
		}
		s.b = c.Block()
	})
	s.r.settle()
}

func (s *stream) toCallback() {
	if s.b == nil || s.broken {
		return
	}
	b := s.b
	s.b, s.moving = nil, true
	if err := b.Callback(s.handler(s.byte())); err != nil {
		s.fail("callback: %v", err)
	}
	s.r.turn()
	s.moving = false
}

// await runs f, which may wait, while the loop turns and the peer reads.
func (s *stream) await(what string, f func()) {
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	for end := time.Now().Add(10 * time.Second); ; {
		select {
		case <-done:
			return
		default:
		}
		s.r.l.turn(0)
		s.peerRead(4096)
		runtime.Gosched()
		if time.Now().After(end) {
			s.fail("%s waits for ever", what)
			s.b.Close()
			<-done
			return
		}
	}
}

// blockingRead reads when there is something to read.
func (s *stream) blockingRead(n int) {
	if s.in.got == s.in.put && !s.peerShut {
		return
	}
	p := make([]byte, n)
	var err error
	s.await("read", func() { n, err = s.b.Read(p) })
	switch {
	case s.failed != nil:
	case err == io.EOF && n == 0:
		if s.in.atEnd = true; s.in.got < s.in.put && !s.broken {
			s.fail("end of stream after %d of %d bytes", s.in.got, s.in.put)
		}
	case err != nil:
		if !s.peerClosed && !s.broken {
			s.fail("blocking read: %v", err)
		}
		s.in.atEnd = true
	default:
		if err := s.in.check(p[:n]); err != nil {
			s.fail("blocking read: %v", err)
		}
		s.in.got += n
		if n > 1 && s.byte() > 200 {
			s.b.Unread(p[1:n])
			s.in.got -= n - 1
		}
	}
}

func (s *stream) blockingWrite(n int) {
	p := bytes.Clone(s.out.next(n))
	var err error
	s.out.put += n // the peer may read them meanwhile
	k := 0
	s.await("write", func() { k, err = s.b.Write(p) })
	s.out.put -= n - k
	if k < n && err == nil || err != nil && !s.finished && !s.broken {
		s.fail("blocking write of %d bytes took %d: %v", n, k, err)
	}
	if err != nil && !errors.Is(err, syscall.EPIPE) && !s.broken {
		s.fail("blocking write: %v", err)
	}
}
