package conn

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/internal/sock"
)

// stuck keeps all loops of a runtime in a callback until the function that it
// returns is called.
func stuck(t *testing.T, rt *Runtime) (release func()) {
	t.Helper()
	free := make(chan struct{})
	var in sync.WaitGroup
	for _, l := range rt.all {
		in.Add(1)
		l.send(task{run: func() { in.Done(); <-free }}, 0)
	}
	in.Wait()
	release = sync.OnceFunc(func() { close(free) })
	t.Cleanup(release)
	return release
}

// TestHandOver: who has connected, and was not accepted, is served by the runtime
// that the sockets are handed to, also when the other one has closed them.
func TestHandOver(t *testing.T) {
	for _, test := range []struct {
		name string
		at   Addr
		lc   ListenConfig
	}{
		{"one socket", loopback, ListenConfig{}},
		{"a socket for each loop", loopback, ListenConfig{Balance: PerLoop}},
		{"a file", Unix(filepath.Join(t.TempDir(), "s")), ListenConfig{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			old, next := running(t, Config{Loops: 2, SlowCallback: -1}), running(t, Config{Loops: 2})
			from, err := test.lc.Listen(old, test.at, echoes)
			if err != nil {
				t.Fatal(err)
			}
			release := stuck(t, old)
			var waiting []net.Conn
			for range 32 {
				waiting = append(waiting, dial(t, from.Addr()))
			}
			fds, err := from.Dups()
			if err != nil {
				t.Fatal(err)
			}
			from.Leave()
			to, err := test.lc.AdoptAll(next, fds, echoes)
			if err != nil {
				t.Fatal(err)
			}
			for _, nc := range waiting {
				mustAsk(t, nc, "hello")
			}
			mustAsk(t, dial(t, from.Addr()), "hello")
			if n := to.Accepted(); n != 33 || to.Addr() != from.Addr() {
				t.Errorf("%d connections on %v, want 33 on %v", n, to.Addr(), from.Addr())
			}
			if _, err := from.Dups(); !errors.Is(err, ErrClosed) {
				t.Errorf("duplicates of a closed listener: %v", err)
			}
			release()
			to.Close()
			if _, err := os.Stat(test.at.Path); test.at.IsUnix() && err != nil {
				t.Errorf("the file is not an adopted listener's: %v", err)
			}
		})
	}
}

// TestDupsLeavesCloseAsItWas: a hand-over that came to nothing changes nothing.
func TestDupsLeavesCloseAsItWas(t *testing.T) {
	rt := running(t, Config{})
	at := Unix(filepath.Join(t.TempDir(), "s"))
	ln, err := rt.Listen(at, echoes)
	if err != nil {
		t.Fatal(err)
	}
	fds, err := ln.Dups()
	if err != nil {
		t.Fatal(err)
	}
	closeAll(fds)
	mustAsk(t, dial(t, at), "hello")
	ln.Close()
	if _, err := os.Stat(at.Path); !os.IsNotExist(err) {
		t.Errorf("the file: %v", err)
	}
}

// TestListenerDrains: who has connected is served, who comes later is refused.
func TestListenerDrains(t *testing.T) {
	rt := running(t, Config{Loops: 2, SlowCallback: -1})
	ln := listeningHeld(t, rt, ListenConfig{Balance: PerLoop}, echoes)
	release := stuck(t, rt)
	var waiting []net.Conn
	for range 32 {
		waiting = append(waiting, dial(t, ln.Addr()))
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		ln.Drain()
	}()
	release()
	<-drained
	for _, nc := range waiting {
		mustAsk(t, nc, "hello")
	}
	if nc, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		nc.Close()
		t.Error("somebody listens")
	}
}

// TestLeftListenerDrains: one that has left the sockets to somebody else has nobody
// to let in, whatever the bounds say: its Drain neither refuses nor waits for room.
func TestLeftListenerDrains(t *testing.T) {
	b := quick(t)
	rt := running(t, Config{Bounds: b})
	ln := listening(t, rt, echoes)
	ln.Leave()
	occupy(t, b, bounds.Critical)
	ln.Drain()
	if n := rt.Stats().RefusedBounds; n != 0 {
		t.Errorf("%d are refused", n)
	}
	if n := rt.parked.Load(); n != 0 {
		t.Errorf("%d listeners wait", n)
	}
}

func TestAdoptAllRefuses(t *testing.T) {
	rt := running(t, Config{})
	if _, err := (ListenConfig{}).AdoptAll(rt, nil, echoes); err == nil {
		t.Error("no sockets are a listener")
	}
	ln := listening(t, rt, echoes)
	fds, err := ln.Dups()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := (ListenConfig{}).AdoptAll(rt, append(fds, dupOf(t, w)), echoes); err == nil {
		t.Error("a pipe listens")
	}
	w.Close()
}

// dupOf is a descriptor that the test does not own any more.
func dupOf(t *testing.T, f *os.File) int {
	t.Helper()
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	fd := -1
	if err := raw.Control(func(n uintptr) { fd, err = sock.Dup(int(n)) }); err != nil || fd < 0 {
		t.Fatal(err)
	}
	return fd
}
