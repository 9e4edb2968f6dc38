package conn

import (
	"errors"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/weir-go/weir/timer"
)

// poked counts calls of Poked.
type poked struct {
	n       int
	onPoked func(c *Conn)
}

func (p *poked) Data(c *Conn) error        { c.Discard(c.Buffered()); return nil }
func (p *poked) Closed(c *Conn, err error) {}
func (p *poked) Poked(c *Conn) {
	p.n++
	if p.onPoked != nil {
		p.onPoked(c)
	}
}

func TestPokesAreCoalesced(t *testing.T) {
	r := newRig(t, Config{})
	h := &poked{}
	c, peer := r.pair(Options{}, func(*Conn) Handler { return h })
	h.onPoked = func(c *Conn) { c.Write([]byte("work")) }
	done := make(chan struct{})
	go func() {
		for range 100 {
			c.Poke()
		}
		close(done)
	}()
	<-done
	r.turn()
	if h.n != 1 {
		t.Errorf("%d calls for 100 pokes before them", h.n)
	}
	if p, _ := hear(peer); string(p) != "work" {
		t.Errorf("the peer has %q after the turn", p)
	}
	h.onPoked = func(c *Conn) {
		if h.n == 2 {
			c.Poke() // asks for another call, not for one inside this one
		}
	}
	c.Poke()
	r.settle()
	if h.n != 3 {
		t.Errorf("%d calls, want 3", h.n)
	}
}

func TestPokeAfterTheEnd(t *testing.T) {
	r := newRig(t, Config{})
	h := &poked{}
	c, _ := r.pair(Options{}, func(*Conn) Handler { return h })
	c.Poke()
	c.CloseWith(errors.New("over"))
	r.settle()
	c.Poke()
	r.settle()
	if h.n != 0 {
		t.Errorf("poked %d times after the end was asked for", h.n)
	}
}

// fire is a Firer of a function.
type fire func(now timer.Time)

func (f fire) Fire(now timer.Time) { f(now) }

func TestTimerWritesInItsTurn(t *testing.T) {
	r := newRig(t, Config{})
	c, peer := r.pair(Options{}, func(*Conn) Handler { return &poked{} })
	var a, b timer.Timer
	a.Init(fire(func(timer.Time) { c.Append([]byte("tick")) }))
	b.Init(fire(func(timer.Time) { t.Error("a stopped timer has fired") }))
	c.SetTimer(&a, c.Now())
	c.SetTimer(&b, c.Now())
	if !c.StopTimer(&b) || c.StopTimer(&b) {
		t.Error("StopTimer does not tell whether the timer was active")
	}
	r.turn()
	if p, _ := hear(peer); string(p) != "tick" {
		t.Errorf("the peer has %q after the turn", p)
	}
}

func TestRuntimePost(t *testing.T) {
	rt := running(t, Config{Loops: 2, PostQueue: 8})
	if rt.Loops() != 2 {
		t.Fatalf("%d loops", rt.Loops())
	}
	ran := make(chan int, 2)
	for i := range rt.Loops() {
		if err := rt.Post(i, func() { ran <- i }); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := <-ran, <-ran; a+b != 1 {
		t.Errorf("ran on %d and %d", a, b)
	}
	// The queue is bounded.
	hold, held := make(chan struct{}), make(chan struct{})
	rt.Post(0, func() { close(held); <-hold })
	<-held
	var more atomic.Int32
	var err error
	for range 9 {
		err = rt.Post(0, func() { more.Add(1) })
	}
	if !errors.Is(err, ErrBusy) {
		t.Errorf("the ninth in a queue of 8: %v", err)
	}
	close(hold)
	last := make(chan struct{})
	for rt.Post(0, func() { close(last) }) != nil {
		runtime.Gosched() // the loop makes room
	}
	<-last
	if more.Load() != 8 {
		t.Errorf("%d of 8 ran", more.Load())
	}
	rt.Close()
	if err := rt.Post(0, func() {}); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestHandedLetsGoOfTheThread(t *testing.T) {
	r := newRig(t, Config{})
	h := &poked{}
	h.onPoked = func(c *Conn) { c.Handed() }
	c, _ := r.pair(Options{}, func(*Conn) Handler { return h })
	r.l.inline = 5
	c.Poke()
	r.turn()
	if r.l.inline != 0 {
		t.Error("the loop does not know that it has handed work off")
	}
	if c.Runtime() != r.rt {
		t.Error("another runtime")
	}
}
