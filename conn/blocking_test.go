package conn

import (
	"bytes"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/weir-go/weir/internal/sock"
)

// blockingPair is a connection on its blocking face and its peer.
func blockingPair(t testing.TB, rt *Runtime, o Options) (*Blocking, io.ReadWriteCloser) {
	t.Helper()
	var b *Blocking
	_, nc := adopted(t, rt, o, func(c *Conn) Handler { b = c.Block(); return nil })
	t.Cleanup(func() { b.Close() })
	return b, nc
}

// Close, from either side, ends whatever waits.
func TestCloseWakes(t *testing.T) {
	rt := running(t, Config{Loops: 1})
	for name, end := range map[string]func(*Blocking){
		"close":     func(b *Blocking) { b.Close() },
		"abort":     func(b *Blocking) { b.Abort() },
		"closewith": func(b *Blocking) { b.Conn().CloseWith(io.ErrNoProgress) },
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := blockingPair(t, rt, Options{})
			ended := make(chan error, 2)
			go func() { ended <- readOnce(b) }()
			go func() { _, err := b.Write(make([]byte, 8<<20)); ended <- err }()
			soon(t, "both wait", func() bool { return b.r.state.Load()&b.w.state.Load()&parked != 0 })
			end(b)
			for range 2 {
				if err := receive(t, "the call's end", ended); err != ErrClosed {
					t.Errorf("ended with %v", err)
				}
			}
			for _, err := range []error{readOnce(b), b.SetDeadline(later()), b.Close(), b.CloseWrite(), b.Control(func(uintptr) {})} {
				if err != ErrClosed {
					t.Errorf("afterwards: %v", err)
				}
			}
		})
	}
}

// Several readers are let through one at a time, and each byte is read once.
func TestManyReaders(t *testing.T) {
	rt := running(t, Config{Loops: 1})
	b, peer := blockingPair(t, rt, Options{})
	const total = 200 << 10
	var sum atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			p := make([]byte, 1000)
			for {
				n, err := b.Read(p)
				for _, c := range p[:n] {
					sum.Add(int64(c))
				}
				if err != nil {
					return
				}
			}
		})
	}
	for range total / len(block) {
		if _, err := peer.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	peer.Close()
	within(t, "all readers", all.Wait)
	want := int64(0)
	for _, c := range block {
		want += int64(c) * (total / int64(len(block)))
	}
	if sum.Load() != want {
		t.Errorf("the bytes' sum is %d, want %d", sum.Load(), want)
	}
}

// Writes are whole: of two writers one waits, and pieces arrive in order.
func TestWritersDoNotMix(t *testing.T) {
	rt := running(t, Config{Loops: 1})
	b, peer := blockingPair(t, rt, Options{WriteBuffer: 4096})
	const writers, each = 4, 20
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			piece := bytes.Repeat([]byte{byte('a' + i)}, 10_000)
			for n := range each {
				var err error
				if n%2 == 0 {
					_, err = b.Write(piece)
				} else {
					_, err = b.Writev([][]byte{piece[:1], nil, piece[1:4000], piece[4000:]})
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	got := make([]byte, writers*each*10_000)
	if _, err := io.ReadFull(peer, got); err != nil {
		t.Fatal(err)
	}
	within(t, "the writers", all.Wait)
	for i := 0; i < len(got); i += 10_000 {
		if piece := got[i : i+10_000]; bytes.Count(piece, piece[:1]) != len(piece) {
			t.Fatalf("the piece at %d is mixed", i)
		}
	}
}

// Writev may be of more pieces than one system call takes.
func TestWritevOfMany(t *testing.T) {
	rt := running(t, Config{Loops: 1})
	b, peer := blockingPair(t, rt, Options{WriteBuffer: 4096})
	var bufs [][]byte
	var want []byte
	for i := range 500 {
		p := bytes.Repeat([]byte{byte(i)}, i%97)
		bufs, want = append(bufs, p), append(want, p...)
	}
	go func() {
		n, err := b.Writev(bufs)
		if n != int64(len(want)) || err != nil {
			t.Errorf("wrote %d of %d, %v", n, len(want), err)
		}
		b.CloseWrite()
	}()
	if got, err := io.ReadAll(peer); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d of %d, %v", len(got), len(want), err)
	}
	if n, err := b.Writev(nil); n != 0 || err != nil {
		t.Errorf("nothing: %d, %v", n, err)
	}
}

// The end of stream is reported once, with the last edge there is: nobody who
// reads before it may lose it.
func TestHangupIsKept(t *testing.T) {
	r := newRig(t, Config{})
	open := func() (*Blocking, int) {
		var b *Blocking
		_, peer := r.pair(Options{}, func(c *Conn) Handler { b = c.Block(); return nil })
		say(t, peer, []byte("hello"))
		sock.ShutdownWrite(peer)
		r.settle()
		return b, peer
	}
	rest := func(b *Blocking, want string) {
		t.Helper()
		within(t, "the end of stream", func() {
			got, err := io.ReadAll(struct{ io.Reader }{b})
			if err != nil || string(got) != want {
				t.Errorf("%q, %v", got, err)
			}
		})
		b.Close()
		r.settle()
	}
	t.Run("short read", func(t *testing.T) {
		b, _ := open()
		rest(b, "hello")
	})
	t.Run("raw read", func(t *testing.T) {
		b, _ := open()
		b.RawRead(func(fd uintptr) bool { sock.Recv(int(fd), make([]byte, 2)); return true })
		rest(b, "llo")
	})
	t.Run("wait", func(t *testing.T) {
		b, _ := open()
		if err := b.WaitRead(); err != nil {
			t.Error(err)
		}
		rest(b, "hello")
	})
	t.Run("pooled", func(t *testing.T) {
		b, _ := open()
		pool := &BufferPool{Size: 3}
		p, err := b.ReadPooled(pool)
		if err != nil || string(p) != "hel" {
			t.Errorf("%q, %v", p, err)
		}
		pool.Put(p)
		rest(b, "lo")
	})
	t.Run("doubted", func(t *testing.T) {
		// As when the edge came between a read that found nothing and doubt.
		b, _ := open()
		b.doubt()
		rest(b, "hello")
	})
}

// A hangup that is none does not make a reader spin.
func TestFalseHangup(t *testing.T) {
	r := newRig(t, Config{})
	var b *Blocking
	_, peer := r.pair(Options{}, func(c *Conn) Handler { b = c.Block(); return nil })
	b.r.set(edge | over)
	if n, err := b.try(make([]byte, 10)); n != 0 || err != nil || b.r.state.Load() != 0 {
		t.Errorf("read %d, %v, state %b", n, err, b.r.state.Load())
	}
	say(t, peer, []byte("hello"))
	r.settle()
	p := make([]byte, 10)
	if n, err := b.Read(p); string(p[:n]) != "hello" || err != nil {
		t.Errorf("%q, %v", p[:n], err)
	}
	b.Close()
}

// Callback is refused while a call is in flight.
func TestCallbackBusy(t *testing.T) {
	rt := running(t, Config{Loops: 1})
	b, peer := blockingPair(t, rt, Options{})
	ended := make(chan error, 1)
	go func() { ended <- readOnce(b) }()
	soon(t, "the reader waits", func() bool { return b.r.state.Load()&parked != 0 })
	if err := b.Callback(funcs{}); err != ErrBusy {
		t.Errorf("with a reader: %v", err)
	}
	b.Control(func(uintptr) {
		if err := b.Callback(funcs{}); err != ErrBusy {
			t.Errorf("in Control: %v", err)
		}
	})
	peer.Write([]byte("x"))
	if err := receive(t, "Read", ended); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	if err := b.Callback(funcs{closed: func(_ *Conn, err error) { closed <- err }}); err != nil {
		t.Fatal(err)
	}
	if err := b.Callback(funcs{}); err != ErrClosed && err != ErrBusy {
		t.Errorf("a second time: %v", err)
	}
	if err := readOnce(b); err != ErrClosed {
		t.Errorf("Read afterwards: %v", err)
	}
	peer.Close()
	if err := receive(t, "Closed", closed); err != io.EOF {
		t.Errorf("closed with %v", err)
	}
}

// Faces change back and forth under traffic; no byte is lost or told twice.
func TestFacesUnderTraffic(t *testing.T) {
	rt := running(t, Config{Loops: 2})
	const changes = 200
	faces := make(chan *Blocking, 1)
	var h funcs
	turns := 0
	h.data = func(c *Conn) error {
		if turns++; turns%2 == 0 {
			faces <- c.Block()
			return nil
		}
		return echo(c)
	}
	_, nc := adopted(t, rt, Options{}, func(c *Conn) Handler { return h })
	var all sync.WaitGroup
	all.Go(func() {
		p := make([]byte, 64)
		for b := range faces {
			n, err := b.Read(p)
			if err != nil {
				t.Error(err)
			}
			if _, err := b.Write(p[:n]); err != nil {
				t.Error(err)
			}
			if err := b.Callback(h); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range changes {
		if err := ask(nc, string(block[:1+i%50])); err != nil {
			t.Fatal(i, err)
		}
	}
	nc.Close()
	soon(t, "the end", func() bool { return rt.Stats().Conns == 0 })
	close(faces)
	within(t, "the other face", all.Wait)
}

// RawRead and RawWrite are what SyscallConn is made of.
func TestRaw(t *testing.T) {
	rt := running(t, Config{Loops: 1})
	b, peer := blockingPair(t, rt, Options{})
	heard := make(chan string, 1)
	go b.RawRead(func(fd uintptr) bool {
		p := make([]byte, 10)
		n, errno := sock.Recv(int(fd), p)
		if errno == syscall.EAGAIN {
			return false
		}
		heard <- string(p[:n])
		return true
	})
	soon(t, "the reader waits", func() bool { return b.r.state.Load()&parked != 0 })
	peer.Write([]byte("raw"))
	if got := receive(t, "RawRead", heard); got != "raw" {
		t.Errorf("heard %q", got)
	}
	sent := 0
	go func() {
		b.RawWrite(func(fd uintptr) bool {
			for sent < 1<<20 {
				n, errno := sock.Send(int(fd), block)
				if errno == syscall.EAGAIN {
					return false
				}
				sent += n
			}
			return true
		})
		b.CloseWrite()
	}()
	if n, err := io.Copy(io.Discard, peer); n < 1<<20 || err != nil {
		t.Errorf("heard %d bytes, %v", n, err)
	}
}
