package conn

import (
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/weir-go/weir/poller"
	"github.com/weir-go/weir/timer"
)

// restless is a rig whose process is as busy as the test says.
func restless(t *testing.T, cfg Config) (r *rig, share func(int64)) {
	r = newRig(t, cfg)
	r.rt.load.next.Store(math.MaxInt64)
	share = func(thousandths int64) { r.rt.load.share.Store(thousandths) }
	share(0)
	return r, share
}

// sleeps has the loop sleep n times for d, and returns whether it parks then.
func (r *rig) sleeps(n int, d time.Duration) bool {
	for range n {
		now := r.l.rest.ended.Add(d)
		r.l.rest.woke(now, true)
		r.l.settleRest(now)
	}
	return r.l.rest.parked
}

// parks skips the test where no poller parks.
func parks(t *testing.T, r *rig) {
	if r.l.rest.next == timer.Never {
		t.Skip("no poller parks here")
	}
}

func TestLoopThatMostlySleepsParks(t *testing.T) {
	r, share := restless(t, Config{})
	parks(t, r)
	steps := []struct {
		what   string
		n      int
		sleep  time.Duration
		share  int64
		parked bool
	}{
		{"nothing to do, and the process is busy", 100, time.Millisecond, 900, false},
		{"nothing to do, and nobody else has", 1, time.Millisecond, 0, true},
		{"now and then", 1000, 450 * time.Microsecond, 400, true},
		{"the process is busy", 1, time.Millisecond, 501, false},
		{"not at once again", 1, time.Millisecond, 0, false},
		{"but after a while", 100, time.Millisecond, 0, true},
		{"much to do", 1000, 350 * time.Microsecond, 0, false},
		{"less", 1000, 750 * time.Microsecond, 0, false},
		{"little", 1000, 850 * time.Microsecond, 0, true},
	}
	for _, s := range steps {
		share(s.share)
		if got := r.sleeps(s.n, s.sleep); got != s.parked {
			t.Errorf("%s: parked %v", s.what, got)
		}
	}
}

// A loop that hands its work to goroutines parks for longer sleeps only.
func TestLoopThatHandsOffParksLater(t *testing.T) {
	r, _ := restless(t, Config{})
	parks(t, r)
	r.l.handed = 1
	r.sleeps(100, time.Microsecond)
	if r.sleeps(1000, 3*time.Millisecond) {
		t.Error("parked")
	}
	if !r.sleeps(1000, 5*time.Millisecond) {
		t.Error("not parked")
	}
}

// One that does so now and then, a few turns in a row, is none of these.
func TestLoopThatSeldomHandsOffParks(t *testing.T) {
	r, _ := restless(t, Config{})
	parks(t, r)
	r.sleeps(200, time.Millisecond)
	for i := range 1000 {
		if r.l.handed = 0; i%100 < 10 {
			r.l.handed = 1
		}
		if !r.sleeps(1, time.Millisecond) {
			t.Fatalf("turn %d: not parked", i)
		}
	}
}

// Sleeps that only timers end are none that parking pays for.
func TestTimersAloneDoNotPark(t *testing.T) {
	r, _ := restless(t, Config{})
	parks(t, r)
	for range 1000 {
		r.l.rest.woke(r.l.rest.ended.Add(10*time.Millisecond), false)
		r.l.settleRest(r.l.rest.ended.Add(10 * time.Millisecond))
	}
	if r.l.rest.parked {
		t.Error("parked")
	}
}

// Goroutines that a loop has readied run before it sleeps with its P: a parked one
// does when a timer is near.
func TestParkedLoopKeepsManners(t *testing.T) {
	r, _ := restless(t, Config{})
	parks(t, r)
	var alarm timer.Timer
	alarm.Init(timer.Func(func(timer.Time) {}))
	defer r.l.heap.Stop(&alarm)
	r.l.now, r.l.handed = timer.Now(), 1
	for _, c := range []struct {
		parked bool
		timer  time.Duration // 0: none
		looks  bool
	}{
		{false, 0, true}, {false, time.Hour, true},
		{true, 0, false}, {true, time.Hour, false}, {true, poller.ParkLeast, true},
	} {
		r.l.rest.parked = c.parked
		if r.l.heap.Stop(&alarm); c.timer > 0 {
			r.l.heap.Set(&alarm, r.l.now.Add(c.timer))
		}
		if got := r.l.patience() == 0; got != c.looks {
			t.Errorf("%+v: looks %v", c, got)
		}
	}
}

// With KeepThread a loop never parks, and needs no descriptor for it.
func TestKeepThread(t *testing.T) {
	r, _ := restless(t, Config{KeepThread: true})
	if r.sleeps(1000, time.Second) {
		t.Error("parked")
	}
}

// A parked loop hears what one hears that is not: bytes, wishes of others, time.
func TestParkedLoopWorks(t *testing.T) {
	r, _ := restless(t, Config{})
	parks(t, r)
	c, peer := r.pair(Options{}, echoes)
	r.settle()
	var fired, due timer.Time
	parked := func(what string, do func()) {
		t.Helper()
		r.l.rest.sleeps, r.l.rest.next = time.Hour, 0
		if r.l.settleRest(timer.Now()); !r.l.rest.parked {
			t.Fatalf("%s: not parked", what)
		}
		before, done := r.rt.Stats().Loops[0].Parks, make(chan struct{})
		go func() {
			defer r.l.poller.Wake()
			defer close(done)
			for !r.l.asleep.Load() {
				runtime.Gosched()
			}
			do()
		}()
		for working := true; working; {
			r.step(func() { r.l.turn(r.l.patience()) })
			select {
			case <-done:
				working = false
			default: // a spurious edge was first
			}
		}
		r.settle()
		// The end of a sleep that a timer ends is not one of them.
		if _, timed := r.l.heap.Next(); !timed && fired == 0 && r.rt.Stats().Loops[0].Parks == before {
			t.Errorf("%s: it has not parked", what)
		}
	}
	for range 3 {
		parked("bytes", func() { peerSays(t, peer, []byte("hello")) })
		peerHears(t, peer, []byte("hello"))
		told := false
		parked("a wish", func() { c.Post(func(*Conn) { told = true }) })
		if !told {
			t.Error("a wish was not heard")
		}
		var alarm timer.Timer
		alarm.Init(timer.Func(func(now timer.Time) { fired = now }))
		due = timer.Now().Add(20 * time.Millisecond)
		r.l.heap.Set(&alarm, due)
		for fired == 0 {
			parked("time", func() {})
		}
		if fired < due {
			t.Errorf("fired %v early", due.Sub(fired))
		}
		fired = 0
	}
}

// However a loop sleeps and however busy the process is, it does not begin to
// park twice in parkAgain, and never parks while the process is busy.
func TestParkingIsCalm(t *testing.T) {
	r, share := restless(t, Config{})
	parks(t, r)
	rng := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	began := timer.Time(math.MinInt64)
	for range 20000 {
		busy := rng.Int64N(1000)
		share(busy)
		r.l.handed = rng.IntN(2)
		was := r.l.rest.parked
		is := r.sleeps(1, time.Duration(rng.ExpFloat64()*float64(time.Millisecond)))
		switch now := r.l.rest.ended; {
		case is && busy > busyAbove:
			t.Fatalf("parked at %d thousandths", busy)
		case is && !was:
			if now.Sub(began) < parkAgain {
				t.Fatalf("parked again after %v", now.Sub(began))
			}
			began = now
		}
	}
}

// The load is the share that the process had of the time of all Ps.
func TestLoad(t *testing.T) {
	var o load
	o.begin(0)
	if n := o.share.Load(); n != 1000 {
		t.Errorf("%d before anything is known, want busy", n)
	}
	for _, c := range []struct {
		wall, used time.Duration
		ps         int
		want       int64
	}{
		{time.Second, 500 * time.Millisecond, 1, 500},
		{time.Second, 500 * time.Millisecond, 2, 250},
		{20 * time.Millisecond, 40 * time.Millisecond, 2, 1000},
		{time.Hour, 0, 8, 0},
		{200 * 24 * time.Hour, 150 * 24 * time.Hour, 1, 750},
	} {
		at, used := o.at, o.used
		o.look(at.Add(c.wall), used+c.used, c.ps, false)
		if n := o.share.Load(); n != c.want {
			t.Errorf("%v of %v on %d: %d thousandths, want %d", c.used, c.wall, c.ps, n, c.want)
		}
	}
	for i, c := range []struct{ waits, busy bool }{ // more often than not
		{true, false}, {true, false}, {true, true}, {false, false}, {true, true}, {true, true},
	} {
		o.look(o.at.Add(time.Second), o.used, 4, c.waits)
		if busy := o.share.Load() > busyAbove; busy != c.busy {
			t.Errorf("look %d at who waits for a P: busy %v", i, busy)
		}
	}
	for range 5 {
		o.look(o.at.Add(time.Second), o.used, 4, false)
	}
	if n := o.share.Load(); n >= calmBelow {
		t.Errorf("nobody waits any more: %d thousandths", n)
	}
	o.share.Store(7)
	if n := o.busy(o.at, 0); n != 7 {
		t.Errorf("looked again at once: %d", n)
	}
}
