package stream

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/timer"
)

// rig is loops that turn when they are told to, for topics to run on.
type rig struct {
	mu    sync.Mutex
	posts [][]func() // by loop
	busy  int        // posts still to be refused
	heap  timer.Heap
	now   timer.Time
}

func newRig(loops int) *rig { return &rig{posts: make([][]func(), loops), now: 1} }

func (r *rig) Post(loop int, f func()) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy > 0 {
		r.busy--
		return conn.ErrBusy
	}
	r.posts[loop] = append(r.posts[loop], f)
	return nil
}

// turn runs what was posted to a loop so far, and reports whether there was
// anything.
func (r *rig) turn(loop int) bool {
	r.mu.Lock()
	posts := r.posts[loop]
	r.posts[loop] = nil
	r.mu.Unlock()
	for _, f := range posts {
		f()
	}
	return len(posts) > 0
}

// settle turns all loops until there is nothing to do.
func (r *rig) settle() {
	for again := true; again; {
		again = false
		for i := range r.posts {
			again = r.turn(i) || again
		}
	}
}

// pass lets time go by.
func (r *rig) pass(d time.Duration) {
	r.now = r.now.Add(d)
	r.heap.Advance(r.now)
}

// fakeSession counts what leaves together.
type fakeSession struct {
	loop    int
	depth   int
	flushes int
	onFlush func()
}

func (s *fakeSession) begin() { s.depth++ }
func (s *fakeSession) flush() {
	s.depth--
	s.flushes++
	if s.onFlush != nil {
		s.onFlush()
	}
}

// fakeStream takes as many messages as it has room for.
type fakeStream struct {
	t      testing.TB
	rig    *rig
	sess   *fakeSession
	source source
	room   int // pushes that it will take; the larger ones below stand for any number
	wanted bool
	over   bool
	status error // that it was ended with
	got    []string
	quiet  bool // nothing is recorded
	pushes int
	onPush func(m *Message)
}

const anyRoom = 1 << 40

func (r *rig) session(loop int) *fakeSession { return &fakeSession{loop: loop} }

func (r *rig) stream(t testing.TB, s *fakeSession) *fakeStream {
	return &fakeStream{t: t, rig: r, sess: s, room: anyRoom}
}

func (f *fakeStream) push(m *Message) bool {
	if f.sess.depth == 0 {
		f.t.Error("push outside of begin and flush")
	}
	if f.over || f.room == 0 {
		return false
	}
	f.room--
	f.pushes++
	if f.onPush != nil {
		f.onPush(m)
	}
	if !f.quiet {
		f.got = append(f.got, string(m.Bytes()))
	}
	return true
}

func (f *fakeStream) want()        { f.wanted = true }
func (f *fakeStream) burst() burst { return f.sess }
func (f *fakeStream) loop() int    { return f.sess.loop }
func (f *fakeStream) hung() source { return f.source }

func (f *fakeStream) hang(s source) error {
	if f.over {
		return ErrClosed
	}
	f.source = s
	return nil
}

func (f *fakeStream) end(err error) {
	if !f.over {
		f.status = err
		f.close()
	}
}

// close is the stream's end, whoever wanted it.
func (f *fakeStream) close() {
	f.over = true
	if s := f.source; s != nil {
		f.source = nil
		s.gone(nil)
	}
}

func (f *fakeStream) after(t *timer.Timer, d time.Duration) { f.rig.heap.Set(t, f.rig.now.Add(d)) }
func (f *fakeStream) stop(t *timer.Timer)                   { f.rig.heap.Stop(t) }

// give makes room for n more messages, as a window update does.
func (f *fakeStream) give(n int) {
	f.room += n
	f.pull()
}

func (f *fakeStream) pull() {
	if f.wanted && f.room > 0 && f.source != nil {
		f.wanted = false
		f.sess.begin()
		f.source.pull(nil)
		f.sess.flush()
	}
}

// stall takes all room away.
func (f *fakeStream) stall() { f.room = 0 }

// take returns what came since the last take, as "1 2 gap(3-4) 5".
func (f *fakeStream) take() string {
	s := strings.Join(f.got, " ")
	f.got = nil
	return s
}

func gapText(dst []byte, from, to uint64) []byte { return fmt.Appendf(dst, "gap(%d-%d)", from, to) }

// number publishes the message's own number as its payload.
func number(t testing.TB, topic *Topic, key string) uint64 {
	t.Helper()
	want := topic.Seq() + 1
	m := NewMessage(fmt.Append(nil, want))
	defer m.Release()
	seq, err := topic.PublishMessage(m, key)
	if err != nil || seq != want {
		t.Fatalf("publish %d: %d, %v", want, seq, err)
	}
	return seq
}

func mustSubscribe(t testing.TB, topic *Topic, f *fakeStream, o SubOptions) *Subscription {
	t.Helper()
	sub, err := topic.subscribe(f, o)
	if err != nil {
		t.Fatal(err)
	}
	return sub
}
