package conn

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// TestPostWakes posts to a loop at every instant of its way into sleep: whatever
// comes between its last look and the wait must wake it. A loop that misses one
// sleeps until the next event, and there is none.
func TestPostWakes(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 2 {
		t.Skip("the loop and the poster must run at the same time")
	}
	rounds := 30_000
	if testing.Short() || raceEnabled {
		rounds = 5_000
	}
	rt := running(t, Config{Loops: 1, SlowCallback: -1})
	c, _ := adopted(t, rt, Options{}, echoes)
	var ran atomic.Int64
	for i := range int64(rounds) {
		if err := c.Post(func(*Conn) { ran.Add(1) }); err != nil {
			t.Fatal(err)
		}
		for spins := 0; ran.Load() <= i; spins++ {
			if spins == 1<<16 { // it is not coming at once: give up the processor
				soon(t, "the posted function", func() bool { return ran.Load() > i })
			}
		}
		for spins := range i % 400 { // a little later each time
			_ = spins
		}
	}
}

// TestWriterAndReaderMeet has a writer and a reader go at each other's pace
// through the smallest buffer there is, so that the buffer is full and empty all
// the time: an edge that was missed would leave the writer waiting for room that
// there is.
func TestWriterAndReaderMeet(t *testing.T) {
	total := 8 << 20
	if testing.Short() || raceEnabled {
		total = 1 << 20
	}
	for _, face := range []string{"blocking", "callback"} {
		t.Run(face, func(t *testing.T) {
			rt := running(t, Config{Loops: 1, SlowCallback: -1})
			drained := make(chan struct{}, 1)
			var b *Blocking
			c, nc := adopted(t, rt, Options{WriteBuffer: 1, HighWater: 8 << 10}, func(c *Conn) Handler {
				if face == "blocking" {
					b = c.Block()
					return nil
				}
				return drainedTo{ch: drained}
			})
			within(t, "all is read", func() {
				go func() {
					p := make([]byte, 3000)
					for sent := 0; sent < total; {
						if b != nil {
							n, err := b.Write(p)
							if sent += n; err != nil {
								t.Error(err)
								return
							}
							continue
						}
						n, err := c.Write(p)
						if sent += n; err == ErrFull {
							<-drained
						} else if err != nil {
							t.Error(err)
							return
						}
					}
					if b != nil {
						b.Close()
					} else {
						c.Close()
					}
				}()
				p := make([]byte, 1000)
				got := 0
				for {
					nc.SetReadDeadline(time.Now().Add(patient))
					n, err := nc.Read(p)
					if got += n; err != nil {
						break
					}
				}
				if got < total {
					t.Errorf("read %d of %d bytes", got, total)
				}
			})
		})
	}
}

// drainedTo says when there is room again.
type drainedTo struct {
	funcs
	ch chan struct{}
}

func (d drainedTo) Drained(*Conn) {
	select {
	case d.ch <- struct{}{}:
	default:
	}
}

// A loop that is awake finds what is left for it, and is not rung for it; one
// that sleeps is rung once, however much is left.
func TestAwakeLoopIsNotRung(t *testing.T) {
	r := newRig(t, Config{})
	c, _ := r.pair(Options{}, echoes)
	r.settle()
	before := r.l.poller.Stats()
	for range 10 {
		c.Post(count)
	}
	c.Append([]byte("x"))
	r.settle()
	if s := r.l.poller.Stats(); s != before {
		t.Errorf("an awake loop was rung: %+v, before %+v", s, before)
	}
	r.l.asleep.Store(true) // as before a wait
	for range 10 {
		c.Post(count)
	}
	r.wait()
	if s := r.l.poller.Stats(); s.Wakes != before.Wakes+1 || s.WakesCoalesced != before.WakesCoalesced {
		t.Errorf("a sleeping loop was rung otherwise than once: %+v, before %+v", s, before)
	}
}

// A loop whose callbacks do everything themselves holds its thread; one that
// hands work to goroutines lets go of it.
func TestManners(t *testing.T) {
	r := newRig(t, Config{KeepThread: true, Pool: poolFunc(func(work func()) error { go work(); return nil })})
	done := make(chan struct{}, 1)
	c, _ := r.pair(Options{}, echoes)
	defer runtime.UnlockOSThread()
	for range inlineTurns {
		r.l.turn(0)
	}
	if !r.l.locked {
		t.Errorf("not locked after %d turns without a hand-off", inlineTurns)
	}
	c.Post(func(c *Conn) { c.Go(func() { done <- struct{}{} }, nil) })
	r.l.turn(0)
	if r.l.locked {
		t.Error("locked in spite of a hand-off")
	}
	receive(t, "the work", done)
	soon(t, "its return", func() bool { r.l.turn(0); return c.work == 0 })
}

type poolFunc func(func()) error

func (f poolFunc) Submit(work func()) error { return f(work) }
