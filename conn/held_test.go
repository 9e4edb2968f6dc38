package conn

import (
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/internal/sock"
)

// uncounted is for tests whose runtime is to have no bounds.
var uncounted = new(bounds.Bounds)

// balanced gives a runtime under test bounds if it has none, and looks at the
// end of the test whether each descriptor was given back, once.
func balanced(t testing.TB, cfg *Config) {
	t.Helper()
	switch cfg.Bounds {
	case uncounted:
		cfg.Bounds = nil
	case nil:
		cfg.Bounds = boundsOf(t, bounds.Config{})
	}
}

func boundsOf(t testing.TB, cfg bounds.Config) *bounds.Bounds {
	t.Helper()
	b, err := bounds.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.Close()
		if s := b.Stats(); s.Taken != 0 || s.Overdrawn != 0 {
			t.Errorf("at the end %d descriptors are taken, %d were given back too often: %+v", s.Taken, s.Overdrawn, s.Classes)
		}
	})
	return b
}

// quick are bounds whose states follow the load: a way up is at once, a way down
// takes a tick of theirs. The descriptors that this process has open already are
// few of so many.
func quick(t testing.TB) *bounds.Bounds {
	return boundsOf(t, bounds.Config{Reserve: 1, Rules: bounds.Rules{
		Shed:     bounds.Rule{Enter: 0.5, Leave: 0.4},
		Critical: bounds.Rule{Enter: 0.6, Leave: 0.5},
		Hard:     bounds.Rule{Enter: 0.7, Leave: 0.6},
	}})
}

// occupy has somebody else take descriptors until the state is there, and
// returns a way to give them back.
func occupy(t testing.TB, b *bounds.Bounds, s bounds.State) (leave func()) {
	t.Helper()
	n := 0
	leave = sync.OnceFunc(func() {
		for range n {
			b.Give(bounds.Other)
		}
	})
	t.Cleanup(leave)
	for ; b.Verdict().State < s; n++ {
		b.Force(bounds.Other)
	}
	return leave
}

// TestBoundsHoldAcceptsBack: in Critical connections wait in the queue and are
// served when it is over; in Hard they are told. Admin's are served throughout.
func TestBoundsHoldAcceptsBack(t *testing.T) {
	b := quick(t)
	rt := running(t, Config{Bounds: b})
	ln := listening(t, rt, echoes)
	admin, err := ListenConfig{Class: bounds.Admin}.Listen(rt, loopback, echoes)
	if err != nil {
		t.Fatal(err)
	}
	before := dial(t, ln.Addr())
	mustAsk(t, before, "before")

	leave := occupy(t, b, bounds.Critical)
	waits := dial(t, ln.Addr())
	soon(t, "the listener to be parked", func() bool { return rt.Stats().RefusedBounds > 0 })
	mustAsk(t, before, "those that are there go on")
	mustAsk(t, dial(t, admin.Addr()), "admin")
	if n := ln.Accepted(); n != 1 {
		t.Errorf("%d accepted", n)
	}
	leave()
	mustAsk(t, waits, "served now")

	leave = occupy(t, b, bounds.Hard)
	nc, err := net.Dial("tcp", ln.Addr().String()) // the answer may be faster than this
	if err == nil {
		nc.SetDeadline(time.Now().Add(patient))
		err = ask(nc, "anybody?")
		nc.Close()
	}
	if !refused(err) {
		t.Errorf("in hard: %v", err)
	}
	mustAsk(t, dial(t, admin.Addr()), "admin")
	leave()
	soon(t, "the way back", func() bool { return b.Verdict().State < bounds.Critical })
	mustAsk(t, dial(t, ln.Addr()), "as before")
	if n := rt.Stats().RefusedFDs; n != 0 {
		t.Errorf("the kernel has refused %d", n)
	}
}

// TestBoundsRefuseDials, all but admin's, and says why.
func TestBoundsRefuseDials(t *testing.T) {
	b := quick(t)
	rt := running(t, Config{Bounds: b})
	ln, err := ListenConfig{Class: bounds.Admin}.Listen(rt, loopback, echoes)
	if err != nil {
		t.Fatal(err)
	}
	occupy(t, b, bounds.Hard)
	_, err = rt.Dial(soonest(t), ln.Addr(), echoes)
	var r *bounds.Refusal
	if !errors.As(err, &r) || r.Class != bounds.Client || r.Verdict.Resource != bounds.Descriptors || rt.Stats().Conns != 0 {
		t.Fatalf("%v", err)
	}
	c, err := Dialer{Class: bounds.Admin}.Dial(soonest(t), rt, ln.Addr(), echoes)
	if err != nil {
		t.Fatal(err)
	}
	c.Abort()
}

// TestWhatIsCounted as what, and that it is no longer when it is somebody
// else's. That all is given back at the end is looked at in every test.
func TestWhatIsCounted(t *testing.T) {
	b := boundsOf(t, bounds.Config{})
	rt := running(t, Config{Bounds: b})
	used := func(want ...int) {
		t.Helper()
		var got []int
		soon(t, "counted", func() bool {
			got = nil
			s := b.Stats()
			for _, c := range s.Classes[bounds.Admin:] {
				got = append(got, c.Used)
			}
			return slices.Equal(got, want)
		})
	}
	ln, err := ListenConfig{Class: bounds.Stream}.Listen(rt, loopback, echoes)
	if err != nil {
		t.Fatal(err)
	}
	used(0, 0, 0, 0, 0, 0)
	c, err := rt.Dial(soonest(t), ln.Addr(), echoes)
	if err != nil {
		t.Fatal(err)
	}
	used(0, 1, 0, 1, 0, 0)
	fds, err := sock.Pair()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rt.Adopt(fds[0], Options{}, echoes); err != nil {
		t.Fatal(err)
	}
	used(0, 1, 1, 1, 0, 0)
	sock.Close(fds[1])
	used(0, 1, 0, 1, 0, 0)

	out := make(chan int, 1)
	err = c.Post(func(c *Conn) {
		fd, _, err := c.Detach()
		if err != nil {
			t.Error(err)
		}
		out <- fd
	})
	if err != nil {
		t.Fatal(err)
	}
	fd := receive(t, "the descriptor", out)
	used(0, 0, 0, 1, 0, 0)
	sock.Close(fd)
	used(0, 0, 0, 0, 0, 0)
}

// TestKernelsRefusalIsPassedOn: what accept and socket say the bounds hear, and
// nothing else.
func TestKernelsRefusalIsPassedOn(t *testing.T) {
	for _, test := range []struct {
		errno syscall.Errno
		want  bounds.Resource
	}{
		{syscall.EMFILE, bounds.Descriptors},
		{syscall.ENFILE, bounds.Descriptors},
		{syscall.ENOBUFS, bounds.Memory},
		{syscall.ENOMEM, bounds.Memory},
		{syscall.ECONNABORTED, ""},
		{syscall.EAGAIN, ""},
	} {
		b := boundsOf(t, bounds.Config{})
		r := newRig(t, Config{Bounds: b})
		a := acceptorOf(r, ListenConfig{}, echoes)
		peer := r.connect(a) // told by the reserve, or served
		a.failed(r.l, test.errno)
		v := b.Verdict()
		if hard := test.want != ""; (v.State == bounds.Hard) != hard || hard && v.Resource != test.want {
			t.Errorf("%v: %+v", test.errno, v)
		}
		if test.want == bounds.Descriptors {
			soon(t, "an answer", func() bool { _, err := hear(peer); return err == syscall.ECONNRESET || err == io.EOF })
		}
		r.settle()
	}
}

// TestLoadsAreWatched from Start to Close.
func TestLoadsAreWatched(t *testing.T) {
	b := boundsOf(t, bounds.Config{Loads: bounds.Rules{
		Shed:     bounds.Rule{Enter: 0.4, Leave: 0.3},
		Critical: bounds.Rule{Enter: 2, Leave: 1},
		Hard:     bounds.Rule{Enter: 4, Leave: 3},
	}})
	rt := running(t, Config{Bounds: b, ByteBudget: 1000, PoolSize: 4})
	load := func(r bounds.Resource) (load float64) {
		for _, s := range b.Stats().Resources {
			if s.Resource == r {
				load = s.Load
			}
		}
		return load
	}
	rt.budget.force(500)
	soon(t, "the bytes to be noticed", func() bool { return load(bounds.Memory) == 0.5 })
	if v := b.Verdict(); v.State != bounds.Shed || v.Resource != bounds.Memory || b.Admit() == nil {
		t.Errorf("%+v", v)
	}
	rt.budget.give(500)
	rt.working.Add(3)
	soon(t, "the pool to be noticed", func() bool { return load(bounds.Goroutines) == 0.75 && load(bounds.Memory) == 0 })
	rt.Close()
	soon(t, "nothing to be watched", func() bool { return load(bounds.Goroutines) == 0 })
	rt.working.Add(-3)
}

// turnedAway is a Farewell: it says so, and closes.
func turnedAway(c *Conn) Handler {
	c.Write([]byte("busy"))
	c.Close()
	return funcs{}
}

// TestFarewell: who is not let in hears so, a few at a time and in Hard too, and
// those who were let in go on.
func TestFarewell(t *testing.T) {
	for _, state := range []bounds.State{bounds.Critical, bounds.Hard} {
		t.Run(state.String(), func(t *testing.T) {
			b := quick(t)
			rt := running(t, Config{Bounds: b})
			ln, err := ListenConfig{Farewell: turnedAway}.Listen(rt, loopback, echoes)
			if err != nil {
				t.Fatal(err)
			}
			in := dial(t, ln.Addr())
			mustAsk(t, in, "in")
			leave := occupy(t, b, state)
			const peers = 3 * farewells
			var all sync.WaitGroup
			for range peers {
				all.Go(func() {
					nc, err := net.Dial("tcp", ln.Addr().String())
					if err != nil {
						t.Error(err)
						return
					}
					defer nc.Close()
					nc.SetDeadline(time.Now().Add(patient))
					io.WriteString(nc, "what the peer sends without waiting")
					if p, err := io.ReadAll(nc); err != nil || string(p) != "busy" {
						t.Errorf("heard %q, %v", p, err)
					}
				})
			}
			all.Wait()
			mustAsk(t, in, "still in")
			soon(t, "the farewells to be over", func() bool { return ln.Conns() == 1 })
			if s := rt.Stats(); s.Farewells != peers || s.Accepted != 1 || s.RefusedBounds == 0 {
				t.Errorf("%d farewells, %d accepted, parked %d times", s.Farewells, s.Accepted, s.RefusedBounds)
			}
			leave()
			soon(t, "the way back", func() bool { return b.Verdict().State < bounds.Critical })
			mustAsk(t, dial(t, ln.Addr()), "in again")
		})
	}
}

// TestFarewellsAreBounded: not more than so many before the listener rests, nor
// more at once than their share; and one whose Serve does not end it ends.
func TestFarewellsAreBounded(t *testing.T) {
	b := quick(t)
	r := newRig(t, Config{Bounds: b})
	closed := 0
	a := acceptorOf(r, ListenConfig{Farewell: func(c *Conn) Handler {
		return funcs{closed: func(_ *Conn, err error) {
			if closed++; closed <= farewells && err != ErrIdle {
				t.Errorf("closed with %v", err)
			}
		}}
	}}, echoes)
	occupy(t, b, bounds.Critical)
	for range farewells + 3 {
		r.connect(a)
	}
	r.settle()
	if n := a.ln.Conns(); n != farewells || a.backoff == 0 || a.rest <= r.l.now {
		t.Errorf("%d were told, %v to the next try, rest until %d at %d", n, a.backoff, a.rest, r.l.now)
	}
	r.l.heap.Advance(r.l.now.Add(farewellGrace)) // passes for those, and for the rest
	if closed != farewells {
		t.Errorf("%d of %d have ended", closed, farewells)
	}
	soon(t, "the others are told", func() bool { r.settle(); return a.ln.Conns() == 3 })
}

// TestFarewellIsHeard although descriptors are short, where others are closed
// without waiting for their peers, and has longer for that than those.
func TestFarewellIsHeard(t *testing.T) {
	for _, state := range []bounds.State{bounds.Normal, bounds.Critical} {
		b := quick(t)
		r := newRig(t, Config{Bounds: b})
		var told *Conn
		a := acceptorOf(r, ListenConfig{Farewell: func(c *Conn) Handler { told = c; return turnedAway(c) }}, turnedAway)
		leave := occupy(t, b, state)
		peer := r.connect(a)
		say(t, peer, []byte("what nobody reads"))
		r.rt.parked.Add(1) // another listener is
		r.settle()
		if n := r.rt.Stats().Lingered; (n == 1) != (state == bounds.Critical) {
			t.Errorf("%s: %d linger", state, n)
		} else if n == 1 && told.vigil.bye.silence <= hush {
			t.Errorf("%v without a word are enough", told.vigil.bye.silence)
		}
		r.rt.parked.Add(-1)
		leave()
	}
}
