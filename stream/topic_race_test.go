package stream

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/weir-go/weir/conn"
)

// spinners are loops that turn by themselves, a goroutine each.
type spinners struct {
	loops []*spinner
	wg    sync.WaitGroup
}

type spinner struct {
	mu    sync.Mutex
	some  sync.Cond
	posts []func()
	ended bool
}

func newSpinners(n int) *spinners {
	sp := &spinners{}
	for range n {
		l := &spinner{}
		l.some.L = &l.mu
		sp.loops = append(sp.loops, l)
		sp.wg.Go(l.spin)
	}
	return sp
}

func (sp *spinners) Post(loop int, f func()) error {
	l := sp.loops[loop]
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return conn.ErrClosed
	}
	l.posts = append(l.posts, f)
	l.some.Signal()
	return nil
}

func (l *spinner) spin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.ended || len(l.posts) > 0 {
		if len(l.posts) == 0 {
			l.some.Wait()
			continue
		}
		posts := l.posts
		l.posts = nil
		l.mu.Unlock()
		for _, f := range posts {
			f()
		}
		l.mu.Lock()
	}
}

// do runs f on a loop and waits for it.
func (sp *spinners) do(loop int, f func()) {
	done := make(chan struct{})
	sp.Post(loop, func() { defer close(done); f() })
	<-done
}

// close ends the loops when they have done what was posted.
func (sp *spinners) close() {
	for _, l := range sp.loops {
		l.mu.Lock()
		l.ended = true
		l.some.Signal()
		l.mu.Unlock()
	}
	sp.wg.Wait()
}

// auditor checks what one stream gets: each message is the one that was due, or
// a gap marker covers exactly what is missing.
type auditor struct {
	t        testing.TB
	due      uint64 // 0: whatever comes first
	sparse   bool   // numbers may be missing without a marker: Conflate
	messages int
	missed   uint64
	wrong    int
}

func (a *auditor) see(m *Message) {
	var from, to uint64
	switch s := string(m.Bytes()); {
	case scan(s, "gap(%d-%d)", &from, &to):
		a.check(from == a.due || a.due == 0 || a.sparse && from >= a.due, s)
		a.check(to >= from, s)
		a.missed += to - from + 1
		a.due = to + 1
	case scan(s, "state(%d)", &from):
		a.check(from+1 >= a.due, s)
		a.due = from + 1
	case s == "end":
	case scan(s, "%d", &from):
		a.check(from == a.due || a.due == 0 || a.sparse && from >= a.due, s)
		a.messages++
		a.due = from + 1
	default:
		a.check(false, s)
	}
}

func (a *auditor) check(ok bool, s string) {
	if !ok {
		if a.wrong++; a.wrong < 5 {
			a.t.Errorf("%s came when %d was due", s, a.due)
		}
	}
}

func scan(s, format string, to ...any) bool {
	n, err := fmt.Sscanf(s+"\n", format+"\n", to...)
	return err == nil && n == len(to)
}

// Many publish, subscribe, stall, look and leave at once.
func TestTopicStorm(t *testing.T) {
	const loops, publishers, each, subscribers = 2, 4, 500, 60
	sp := newSpinners(loops)
	b := &board{topic: newTopic(sp, TopicConfig{Ring: 64, Gap: gapText})}
	rigs := make([]*rig, loops) // each loop's timers
	sessions := make([]*fakeSession, 2*loops)
	for i := range rigs {
		rigs[i] = newRig(1)
	}
	for i := range sessions {
		sessions[i] = &fakeSession{loop: i % loops}
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)

	type client struct {
		f *fakeStream
		a *auditor
	}
	clients := make([]client, subscribers)
	var work sync.WaitGroup
	for i := range subscribers {
		s := sessions[i%len(sessions)]
		f := rigs[s.loop].stream(t, s)
		policy := DropOldest + Policy(i%(policies-1))
		a := &auditor{t: t, sparse: policy == Conflate}
		f.quiet, f.onPush = true, a.see
		clients[i] = client{f, a}
		o := SubOptions{Policy: policy}
		if i%2 == 0 {
			o.Snapshot = b.snapshot
		}
		work.Go(func() { fidget(t, sp, b.topic, f, o, rand.New(rand.NewPCG(seed, uint64(i))), i%5 == 0) })
	}
	for p := range publishers {
		work.Go(func() {
			for i := range each {
				for errors.Is(b.tryChange(fmt.Sprint(p, i%7)), ErrFull) {
					runtime.Gosched() // the loops have to take what is there first
				}
			}
		})
	}
	work.Wait()
	b.topic.Close(nil)
	for i := range 4 * loops { // runs post themselves again
		sp.do(i%loops, func() {})
	}
	for loop := range loops {
		sp.do(loop, func() { rigs[loop].pass(1 << 50) })
	}
	sp.close()
	total := uint64(publishers * each)
	for i, c := range clients {
		if canceled := i%5 == 0; !canceled && c.f.status == nil && c.a.due != total+1 {
			t.Errorf("client %d (%v): due is %d at the end, got %d, missed %d", i, DropOldest+Policy(i%(policies-1)), c.a.due, c.a.messages, c.a.missed)
		}
	}
	st := b.topic.Stats()
	if st.Subs != 0 || st.Behind != 0 || st.Shards != 0 || st.Held != 0 || st.Published != total {
		t.Errorf("%+v", st)
	}
}

// fidget subscribes, gives room and takes it, looks, and cancels or reads on.
func fidget(t *testing.T, sp *spinners, topic *Topic, f *fakeStream, o SubOptions, rnd *rand.Rand, cancel bool) {
	o.Queue = 1 + rnd.IntN(40)
	sub, err := topic.subscribe(f, o)
	if err != nil {
		t.Error(err)
		return
	}
	for range 200 {
		n := rnd.IntN(20)
		sp.do(f.sess.loop, func() { f.stall(); f.give(n) })
		if rnd.IntN(50) == 0 {
			sub.Stats()
			topic.Stats()
		}
	}
	if cancel {
		sub.Cancel()
		return
	}
	sp.do(f.sess.loop, func() { f.give(anyRoom) })
}

// tryChange publishes under the board's lock.
func (b *board) tryChange(key string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := NewMessage(fmt.Append(nil, b.last+1))
	defer m.Release()
	seq, err := b.topic.PublishMessage(m, key)
	if err == nil {
		b.last = seq
	}
	return err
}
