package echo

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
)

// stream is a connection whose reading half can be closed: TCP and Unix
// sockets, of package net and of netconn.
type stream interface {
	net.Conn
	CloseRead() error
}

// conns is the set of connections that have a goroutine. The faces that wait
// in goroutines need it to end: Shutdown has to know whom to wake and when the
// last is gone. The zero value is empty and ready.
type conns struct {
	mu    sync.Mutex
	open  map[stream]struct{}
	count uint64        // all that were ever added
	empty chan struct{} // closed by the last to leave; nil until stop
}

// add records c. After stop it closes c instead and returns false.
func (s *conns) add(c stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.empty != nil {
		c.Close()
		return false
	}
	if s.open == nil {
		s.open = make(map[stream]struct{})
	}
	s.open[c] = struct{}{}
	s.count++
	return true
}

// remove forgets c, the last thing that its goroutine does.
func (s *conns) remove(c stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
	s.leave()
}

// leave says when there is nobody left. mu is held.
func (s *conns) leave() {
	if s.empty != nil && len(s.open) == 0 {
		close(s.empty)
	}
}

// drain ends every connection. With its reading half closed a goroutine still
// gets what had arrived before and then io.EOF, as if the peer had finished: it
// needs no other way to end. Those that are not through when ctx ends, because
// their peers don't read, are cut off, and the error is ctx's.
func (s *conns) drain(ctx context.Context) error {
	empty := s.stop()
	s.each(func(c stream) { c.CloseRead() })
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		s.cut()
		return ctx.Err()
	}
}

// cut closes every connection and waits until their goroutines have ended.
func (s *conns) cut() {
	empty := s.stop()
	s.each(func(c stream) { c.Close() })
	<-empty
}

// stop lets no connection in from here on. The channel it returns is closed
// when the last has left.
func (s *conns) stop() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.empty == nil {
		s.empty = make(chan struct{})
		s.leave()
	}
	return s.empty
}

// each calls f with every open connection. None can be added meanwhile.
func (s *conns) each(f func(stream)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		f(c)
	}
}

func (s *conns) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

func (s *conns) total() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// traffic counts bytes where no runtime does. A goroutine counts for itself and
// adds it here when it ends: a count that all share would cost each request
// something.
type traffic struct {
	in, out atomic.Uint64
}

func (t *traffic) add(in, out int) {
	t.in.Add(uint64(in))
	t.out.Add(uint64(out))
}

func (t *traffic) totals(conns uint64) Totals {
	return Totals{Conns: conns, BytesIn: t.in.Load(), BytesOut: t.out.Load()}
}
