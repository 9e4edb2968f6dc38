package conn

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/weir-go/weir/bounds"
)

// TestGuardKeepsTheDoor: a source has so many connections, and another as soon as
// one has ended; who is not let in is closed at once, and counted.
func TestGuardKeepsTheDoor(t *testing.T) {
	g, err := bounds.NewGuard(bounds.GuardConfig{Conns: 2})
	if err != nil {
		t.Fatal(err)
	}
	refusals := make(chan error, 10)
	rt := running(t, Config{Trace: &Trace{Refused: func(_ *Listener, err error) { refusals <- err }}})
	ln, err := ListenConfig{Guard: g}.Listen(rt, loopback, echoes)
	if err != nil {
		t.Fatal(err)
	}
	first, second := dial(t, ln.Addr()), dial(t, ln.Addr())
	mustAsk(t, first, "one")
	mustAsk(t, second, "two")
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err == nil {
		nc.SetDeadline(time.Now().Add(patient))
		err = ask(nc, "three")
		nc.Close()
	}
	if !refused(err) {
		t.Errorf("a third one: %v", err)
	}
	if err := receive(t, "the refusal", refusals); err != bounds.ErrConns {
		t.Error(err)
	}
	soon(t, "the count", func() bool { return rt.Stats().RefusedGuard == 1 })
	first.Close()
	soon(t, "one has ended", func() bool { return ln.Conns() == 1 })
	mustAsk(t, dial(t, ln.Addr()), "another")
	if s := g.Stats(); s.Let != 3 || s.Conns != 1 || s.Sources != 1 {
		t.Errorf("%+v", s)
	}
}

// TestGuardDenies before anything of the connection is read, whatever else it
// runs into later.
func TestGuardDenies(t *testing.T) {
	g, err := bounds.NewGuard(bounds.GuardConfig{Deny: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Conns: 1})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, Config{})
	a := acceptorOf(r, ListenConfig{Guard: g, MaxConns: 1}, func(*Conn) Handler { t.Error("served"); return nil })
	for range 3 {
		r.connect(a)
	}
	r.settle()
	if s := r.rt.Stats(); s.RefusedGuard != 3 || s.RefusedLimit != 0 || a.ln.Conns() != 0 {
		t.Errorf("%+v", s)
	}
}

// TestGuardIsGivenBack what the limit of connections takes away again.
func TestGuardIsGivenBack(t *testing.T) {
	g, err := bounds.NewGuard(bounds.GuardConfig{Conns: 5})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // after the rig's end
		if s := g.Stats(); s.Sources != 0 {
			t.Errorf("at the end: %+v", s)
		}
	})
	r := newRig(t, Config{MaxConns: 1})
	a := acceptorOf(r, ListenConfig{Guard: g}, echoes)
	for range 8 {
		r.connect(a)
	}
	r.settle()
	if s := r.rt.Stats(); s.RefusedGuard != 0 || s.RefusedLimit != 7 || s.Conns != 1 {
		t.Errorf("%+v", s)
	}
}

// TestTooLateAtTheDoor: who is dealt to a loop that has ended already is closed, and
// counted for what it is.
func TestTooLateAtTheDoor(t *testing.T) {
	var refusals []error
	r := newRig(t, Config{Trace: &Trace{Refused: func(_ *Listener, err error) { refusals = append(refusals, err) }}})
	a := acceptorOf(r, ListenConfig{}, func(*Conn) Handler { t.Error("served"); return nil })
	ended, err := newLoop(r.rt, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer ended.poller.Close()
	ended.dead = true
	r.rt.all = []*loop{ended}
	r.connect(a)
	r.wait()
	r.rt.all = []*loop{r.l}
	r.settle()
	if s := r.rt.Stats(); s.RefusedShutdown != 1 || a.ln.Conns() != 0 || len(refusals) != 1 || refusals[0] != ErrShutdown {
		t.Errorf("%d, %v", s.RefusedShutdown, refusals)
	}
}
