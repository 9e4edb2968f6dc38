package conn

import (
	"io"
	"sync"
	"testing"

	"github.com/weir-go/weir/internal/sock"
)

// Every byte is counted once, whichever way it goes.
func TestBytesAreCounted(t *testing.T) {
	r := newRig(t, Config{})
	var b *Blocking
	_, peer := r.pair(Options{}, func(*Conn) Handler {
		return funcs{data: func(c *Conn) error {
			c.Write([]byte("welcome"))
			c.Discard(1)
			b = c.Block()
			return nil
		}}
	})
	var read, written uint64
	check := func(what string, in, out int) {
		t.Helper()
		read, written = read+uint64(in), written+uint64(out)
		if s := r.rt.Stats(); s.BytesRead != read || s.BytesWritten != written {
			t.Errorf("%s: %d read, %d written; want %d, %d", what, s.BytesRead, s.BytesWritten, read, written)
		}
	}
	say(t, peer, []byte("abcd"))
	r.turn()
	check("a callback", 4, 7)
	p := make([]byte, 16)
	b.Read(p) // what the callback left
	check("Read of what was read before", 0, 0)
	b.Unread(p[:3])
	b.Read(p)
	check("Read of what was given back", 0, 0)
	say(t, peer, []byte("12345"))
	r.turn()
	b.Read(p)
	check("Read", 5, 0)
	say(t, peer, []byte("123456"))
	r.turn()
	pool := &BufferPool{}
	if q, err := b.ReadPooled(pool); err == nil {
		pool.Put(q)
	}
	check("ReadPooled", 6, 0)
	b.Write(p[:10])
	check("Write", 0, 10)
	b.Writev([][]byte{p[:3], p[:4]})
	check("Writev", 0, 7)
	b.RawWrite(func(fd uintptr) bool {
		n, _ := sock.Send(int(fd), p[:2])
		b.Moved(0, n)
		return true
	})
	check("RawWrite", 0, 2)
	b.Moved(-1, -1) // what a failed call may return
	check("an error", 0, 0)
	b.Close()
	r.turn()
	check("Close", 0, 0)
}

// Goroutines that count at once lose nothing.
func TestBytesAreCountedByMany(t *testing.T) {
	const conns, rounds = 20, 200
	rt := running(t, Config{Loops: 2})
	serve, owners := echoBlocking()
	ln := listening(t, rt, serve)
	var all sync.WaitGroup
	for range conns {
		nc := dial(t, ln.Addr())
		all.Go(func() {
			p := make([]byte, 100)
			for range rounds {
				if _, err := nc.Write(p); err != nil {
					t.Error(err)
					return
				}
				if _, err := io.ReadFull(nc, p); err != nil {
					t.Error(err)
					return
				}
			}
			nc.Close()
		})
	}
	within(t, "the peers", all.Wait)
	within(t, "the owners", owners.Wait)
	if s := rt.Stats(); s.BytesRead != conns*rounds*100 || s.BytesWritten != s.BytesRead {
		t.Errorf("%d read, %d written; want %d", s.BytesRead, s.BytesWritten, conns*rounds*100)
	}
}
