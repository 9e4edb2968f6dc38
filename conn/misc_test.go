package conn

import (
	"fmt"
	"net"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-go/weir/poller"
)

// Trace is told of everything, in the order in which it happens.
func TestTrace(t *testing.T) {
	var mu sync.Mutex
	var told []string
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, fmt.Sprintf(format, args...))
	}
	r := newRig(t, Config{Trace: &Trace{
		Event: func(loop int, id uint64, ready poller.Ready) { say("event %d %x %v", loop, id, ready) },
		Turn: func(loop, events int, d time.Duration) {
			if say("turn %d", events); d < 0 {
				t.Errorf("a turn took %v", d)
			}
		},
		Opened: func(c *Conn) { say("opened %x", c.ID()) },
		Read:   func(c *Conn, n int) { say("read %d", n) },
		Wrote:  func(c *Conn, n int) { say("wrote %d %v", n, c.ID() > 0) },
		Closed: func(c *Conn, err error) { say("closed %v", err) },
	}})
	_, peer := r.pair(Options{}, echoes)
	peerSays(t, peer, []byte("hello"))
	r.turn()
	peerHears(t, peer, make([]byte, 5)) // what it leaves unread would be a reset
	r.closePeer(peer)
	r.turn()
	id := fmt.Sprintf("%x", uint64(1)<<32)
	want := []string{
		"opened " + id, "event 0 " + id + " readable|writable", "read 5", "wrote 5 true", "turn 1",
		"event 0 " + id + " readable|writable|hangup", "closed EOF", "turn 1",
	}
	if !reflect.DeepEqual(told, want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
}

func TestHistogram(t *testing.T) {
	var h Histogram
	for _, v := range []uint64{0, 1, 2, 3, 4, 1 << 20, 1<<31 - 1, 1 << 31, 1 << 60} {
		h.add(v)
	}
	want := [32]uint64{0: 1, 1: 1, 2: 2, 3: 1, 21: 1, 31: 3}
	if h.Buckets != want || h.Count != 9 {
		t.Errorf("%+v", h)
	}
	for i := 1; i < 31; i++ {
		var one Histogram
		one.add(h.Bound(i))
		one.add(h.Bound(i-1) + 1)
		if one.Buckets[i] != 2 {
			t.Errorf("bucket %d counts otherwise than from %d to %d: %v", i, h.Bound(i-1)+1, h.Bound(i), one.Buckets)
		}
	}
}

// An ID is one connection's, though slots and descriptors are used again.
func TestIDs(t *testing.T) {
	rt := running(t, Config{Loops: 3})
	seen := map[uint64]bool{}
	for range 60 {
		c, nc := adopted(t, rt, Options{}, echoes)
		if id := c.ID(); seen[id] || int(id>>56) != c.Loop() {
			t.Fatalf("ID %x on loop %d, seen before: %v", id, c.Loop(), seen[id])
		}
		seen[c.ID()] = true
		nc.Close()
		soon(t, "the end", func() bool { return rt.Stats().Conns == 0 })
	}
}

// What may be asked of a connection that has ended.
func TestAfterTheEnd(t *testing.T) {
	rt := running(t, Config{})
	ln := listening(t, rt, echoes)
	closed := make(chan error, 1)
	c, err := rt.Dial(soonest(t), ln.Addr(), func(*Conn) Handler {
		return funcs{closed: func(_ *Conn, err error) { closed <- err }}
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := receive(t, "Closed", closed); err != nil {
		t.Errorf("closed with %v", err)
	}
	shared := NewShared([]byte("x"), nil)
	for what, err := range map[string]error{
		"Control": c.Control(func(uintptr) { t.Error("called") }), "CloseRead": c.CloseRead(), "CloseWrite": c.CloseWrite(),
		"Post": c.Post(func(*Conn) { t.Error("called") }), "WriteShared": c.WriteShared(shared), "AppendShared": c.AppendShared(shared),
	} {
		if err != ErrClosed {
			t.Errorf("%s: %v", what, err)
		}
	}
	if c.Remote() != ln.Addr() || c.Local() != (Addr{}) || c.Pending() != 0 {
		t.Errorf("from %v to %v, %d pending", c.Local(), c.Remote(), c.Pending())
	}
	c.Close()
	c.Abort()
	c.Pause()
	c.Resume()
	shared.Release()
	defer func() {
		if recover() == nil {
			t.Error("a reference too many was given back, and nothing said so")
		}
	}()
	shared.Release()
}

// Shared bytes that many wait for count once against the budget.
func TestSharedIsChargedOnce(t *testing.T) {
	r := newRig(t, Config{ByteBudget: 10_000})
	freed := 0
	s := NewShared(make([]byte, 6000), func() { freed++ })
	var peers []int
	for range 5 {
		c, peer := r.pair(Options{}, echoes)
		clog(t, c)
		if err := c.WriteShared(s); err != nil {
			t.Fatal(err)
		}
		peers = append(peers, peer)
	}
	if used := r.rt.Stats().BudgetUsed; used != 6000 {
		t.Errorf("the budget has %d bytes", used)
	}
	other, _ := r.pair(Options{}, echoes)
	clog(t, other)
	if err := other.WriteShared(NewShared(make([]byte, 6000), nil)); err != ErrBudget {
		t.Errorf("above the budget: %v", err)
	}
	s.Release()
	for i, peer := range peers {
		if freed != 0 {
			t.Fatalf("freed before %d had it", i)
		}
		hear(peer)
		r.settle()
	}
	if used := r.rt.Stats().BudgetUsed; freed != 1 || used != 0 {
		t.Errorf("freed %d times, the budget has %d bytes", freed, used)
	}
}

func TestBufferPool(t *testing.T) {
	for _, pool := range []*BufferPool{{}, {Size: 100}, {Size: -1}} {
		p := pool.Get()
		if len(p) != pool.size() || len(p) == 0 {
			t.Errorf("size %d lends %d", pool.Size, len(p))
		}
		pool.Put(p[:1])
		if q := pool.Get(); len(q) != len(p) {
			t.Errorf("lends %d, then %d", len(p), len(q))
		}
		pool.Put(nil)
	}
}

// A full house: as many connections as the loops of a small runtime bear, all
// idle, own no buffer.
func TestIdleOwnsNothing(t *testing.T) {
	rt := running(t, Config{Loops: 2})
	ln := listening(t, rt, echoes)
	var ncs []net.Conn
	for range 300 {
		nc := dial(t, ln.Addr())
		mustAsk(t, nc, "hello")
		ncs = append(ncs, nc)
	}
	if used := rt.Stats().BudgetUsed; used != 0 {
		t.Errorf("%d idle connections hold %d bytes", len(ncs), used)
	}
}
