package conn

import (
	"testing"
	"time"
	"unsafe"

	"github.com/weir-go/weir/internal/sock"
)

// A connection is made for each peer there is: its size is part of the promise.
func TestSizeOfConn(t *testing.T) {
	const ceiling = 256
	if size := unsafe.Sizeof(Conn{}); size > ceiling {
		t.Errorf("a Conn takes %d bytes, more than %d", size, ceiling)
	} else {
		t.Logf("a Conn takes %d bytes, a vigil %d, a Blocking %d", size, unsafe.Sizeof(vigil{}), unsafe.Sizeof(Blocking{}))
	}
}

// allocates fails when f, once it has run a few times, allocates.
func allocates(t *testing.T, f func()) {
	t.Helper()
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for range 10 {
		f()
	}
	if n := testing.AllocsPerRun(500, f); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// peerSays sends to a connection, and peerHears reads what comes back, without
// allocating.
func peerSays(t testing.TB, fd int, p []byte) {
	if n, errno := sock.Send(fd, p); n != len(p) || errno != 0 {
		t.Fatalf("sent %d, %v", n, errno)
	}
}

func peerHears(t testing.TB, fd int, p []byte) {
	if n, errno := sock.Recv(fd, p); n != len(p) || errno != 0 {
		t.Fatalf("heard %d, %v", n, errno)
	}
}

// echoTurn is one message there and back.
func echoTurn(t testing.TB, o Options, handler Handler) (r *rig, turn func()) {
	r = newRig(t, Config{})
	_, peer := r.pair(o, func(*Conn) Handler { return handler })
	message, back := []byte("sixty-four bytes are what a small message has, more or less...."), make([]byte, 63)
	return r, func() {
		peerSays(t, peer, message)
		r.l.turn(0)
		peerHears(t, peer, back)
	}
}

func TestEchoAllocatesNothing(t *testing.T) {
	_, turn := echoTurn(t, Options{}, funcs{})
	allocates(t, turn)
}

// Bytes that stay for a turn and those that wait for the peer take storage from
// pools and give it back.
func TestLeftoverAllocatesNothing(t *testing.T) {
	r := newRig(t, Config{})
	c, peer := r.pair(Options{}, func(*Conn) Handler {
		return funcs{data: func(c *Conn) error {
			if c.Buffered() >= 10 {
				return echo(c)
			}
			return nil
		}}
	})
	half, back := make([]byte, 5), make([]byte, 10)
	allocates(t, func() {
		peerSays(t, peer, half)
		r.l.turn(0)
		peerSays(t, peer, half)
		r.l.turn(0)
		peerHears(t, peer, back)
	})
	if c.left != nil || r.rt.budget.used.Load() != 0 {
		t.Error("storage is kept")
	}
}

// An idle time-out that each message puts off, and that comes up early to find
// it so.
func TestIdleResetAllocatesNothing(t *testing.T) {
	r, turn := echoTurn(t, Options{Idle: time.Hour}, funcs{})
	allocates(t, func() {
		turn()
		now, _ := r.l.heap.Next()
		r.l.now = now // an hour after the message before
		if r.l.heap.Advance(now) != 1 {
			t.Fatal("the timer did not come up")
		}
	})
	if r.rt.Stats().Conns != 1 {
		t.Error("the connection has ended")
	}
}

var counted int

func count(*Conn) { counted++ }

func TestPostAllocatesNothing(t *testing.T) {
	r := newRig(t, Config{})
	c, _ := r.pair(Options{}, echoes)
	before := counted
	allocates(t, func() {
		for range 10 {
			if err := c.Post(count); err != nil {
				t.Fatal(err)
			}
		}
		r.l.turn(0)
	})
	if counted == before && !raceEnabled {
		t.Error("nothing was run")
	}
}

func TestWriteAllocatesNothing(t *testing.T) {
	r := newRig(t, Config{})
	c, peer := r.pair(Options{}, echoes)
	message, back := make([]byte, 64), make([]byte, 3*64)
	allocates(t, func() {
		c.Write(message)
		c.Append(message)
		c.Append(message)
		r.l.turn(0)
		peerHears(t, peer, back)
	})
}

func TestBlockingAllocatesNothing(t *testing.T) {
	r := newRig(t, Config{})
	var b *Blocking
	_, peer := r.pair(Options{}, func(c *Conn) Handler { b = c.Block(); return nil })
	defer b.Close()
	message, p := make([]byte, 64), make([]byte, 128)
	deadline := time.Now().Add(time.Hour)
	allocates(t, func() {
		peerSays(t, peer, message)
		r.l.turn(0)
		b.SetDeadline(deadline)
		n, err := b.Read(p)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Write(p[:n]); err != nil {
			t.Fatal(err)
		}
		peerHears(t, peer, p[:n])
	})
}
