package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/weir-go/weir/conn"
)

// Limits of one connection.
const (
	maxCalls  = 16 << 10 // that wait for their replies, those of callers who left included
	highWater = 8 << 20  // bytes on their way out
	together  = 3        // calls in flight from which on the loop gathers what is sent
)

// silence is how long nothing has been heard from a server that is asked until it
// counts as dead. Less, and one caller with little time takes the answers away from
// all others of a server that is slow.
const silence = 250 * time.Millisecond

var (
	errCrowded = errors.New("redis: too many calls wait for their replies")
	errSilent  = errors.New("redis: the server says nothing")
	errUnasked = errors.New("redis: a reply that nobody has asked for")
)

// call is one command and its reply. It belongs to its caller, but between send
// and the reply the session's, which it outlives if its caller leaves.
type call struct {
	out, in []byte
	done    chan struct{} // has room for one: in, or err, is there
	err     error
	reply   reply // of in

	// Guarded by the session's mu.
	answered bool
	left     bool   // by its caller: the session frees it
	heard    uint64 // what the session had heard when it was sent
}

var calls = sync.Pool{New: func() any { return &call{done: make(chan struct{}, 1)} }}

func newCall() *call { return calls.Get().(*call) }

// keptBytes is the most that a call keeps for the next one.
const keptBytes = 16 << 10

func (k *call) free() {
	if cap(k.out) > keptBytes || cap(k.in) > keptBytes {
		return
	}
	*k = call{out: k.out[:0], in: k.in[:0], done: k.done}
	calls.Put(k)
}

// session is one connection that many callers share. What they ask is answered
// in that order, so that a queue says whose reply is next.
//
//	caller   send ─► queue ─► Write ─────────────► server
//	                  │        (many in flight: Append, the loop sends them together)
//	loop     Data ◄───┼─────────────────────────── replies
//	caller  ◄─ done ◄─┘ first in the queue, or nobody's: its caller has left
//
// A caller whose time is up leaves its place in the queue behind, and its reply
// reaches nobody. If nothing was heard since it asked, nor for a while, the
// connection is taken for dead, and closed.
type session struct {
	conn    *conn.Conn
	gone    func(*session) // told when it has ended
	silence time.Duration

	// Owned by the loop.
	part []byte // a reply that is longer than what a loop lets wait

	mu    sync.Mutex
	queue []*call // from head on
	head  int
	heard uint64    // times that something came
	since time.Time // when that was last, or when the first of those was asked who wait
	err   error     // why it ended
}

// send asks. An error means that nothing was sent.
func (s *session) send(k *call) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := len(s.queue) - s.head
	switch {
	case s.err != nil:
		return s.err
	case waiting >= maxCalls, len(k.out) > s.conn.Room():
		return errCrowded
	}
	if s.head > 256 && s.head > waiting {
		s.queue = s.queue[:copy(s.queue, s.queue[s.head:])]
		s.head = 0
	}
	s.queue = append(s.queue, k)
	k.heard = s.heard
	if waiting == 0 {
		s.since = time.Now()
	}
	write := s.conn.Write
	if waiting+1 >= together {
		write = s.conn.Append
	}
	if _, err := write(k.out); err != nil {
		s.conn.CloseWith(err) // a part may have been sent: Closed says it to all
	}
	return nil
}

// wait waits for the reply to what was sent. After an error k is not the
// caller's any more.
func (s *session) wait(ctx context.Context, k *call) error {
	select {
	case <-k.done:
	case <-ctx.Done():
		if s.leave(ctx, k) {
			return ctx.Err()
		}
		<-k.done
	}
	if err := k.err; err != nil {
		k.free()
		return err
	}
	return nil
}

// leave gives a place in the queue up, if it is not its turn already.
func (s *session) leave(ctx context.Context, k *call) bool {
	s.mu.Lock()
	answered := k.answered
	if !answered {
		k.left = true
	}
	silent := s.heard == k.heard && time.Since(s.since) >= s.silence
	s.mu.Unlock()
	if !answered && silent && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		s.end(errSilent)
	}
	return !answered
}

// end closes the connection. From here on nobody asks over it; who waits is told
// when it is closed.
func (s *session) end(why error) {
	s.mu.Lock()
	if s.err == nil {
		s.err = ended(why)
	}
	s.mu.Unlock()
	s.gone(s)
	s.conn.CloseWith(why)
}

func ended(why error) error { return fmt.Errorf("redis: connection ended: %w", why) }

// Data implements conn.Handler.
func (s *session) Data(c *conn.Conn) error {
	p := c.Peek()
	whole := len(s.part) == 0
	if !whole {
		s.part = append(s.part, p...)
		c.Discard(len(p))
		p = s.part
	}
	s.mu.Lock()
	s.heard++
	s.since = time.Now()
	s.mu.Unlock()
	used := 0
	for used < len(p) {
		n, err := readReply(p[used:], nil)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		if !s.answer(p[used : used+n]) {
			return errUnasked
		}
		used += n
	}
	if used > 0 {
		c.Handed()
	}
	s.keep(c, p, used, whole)
	return nil
}

// keep sees to what is left behind the replies that were whole.
func (s *session) keep(c *conn.Conn, p []byte, used int, whole bool) {
	switch rest := p[used:]; {
	case !whole && len(rest) == 0:
		s.part = nil
	case !whole:
		s.part = s.part[:copy(s.part, rest)]
	case len(rest) > maxLine: // the loop would stop reading at some point
		s.part = append([]byte(nil), rest...)
		c.Discard(len(p))
	default:
		c.Discard(used)
	}
}

// answer gives a reply to the first in the queue.
func (s *session) answer(b []byte) bool {
	s.mu.Lock()
	if s.head == len(s.queue) {
		s.mu.Unlock()
		return false
	}
	k := s.queue[s.head]
	s.queue[s.head] = nil
	s.head++
	if s.head == len(s.queue) {
		s.queue, s.head = s.queue[:0], 0
	}
	k.answered = true
	left := k.left
	s.mu.Unlock()
	if left {
		k.free()
		return true
	}
	k.in = append(k.in[:0], b...)
	k.done <- struct{}{}
	return true
}

// Closed implements conn.Handler: everybody who waits is told.
func (s *session) Closed(_ *conn.Conn, err error) {
	if err == nil {
		err = errClosed
	}
	s.mu.Lock()
	if s.err == nil {
		s.err = ended(err)
	}
	waiting := s.queue[s.head:]
	s.queue, s.head = nil, 0
	for _, k := range waiting {
		k.answered = true
	}
	s.mu.Unlock()
	s.gone(s) // first: who is told may ask again at once
	for _, k := range waiting {
		if k.left { // nobody sets it any more once it is answered
			k.free()
			continue
		}
		k.err = s.err
		k.done <- struct{}{}
	}
}
