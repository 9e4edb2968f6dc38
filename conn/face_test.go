package conn

import (
	"errors"
	"io"
	"os"
	"testing"

	"github.com/weir-go/weir/internal/sock"
)

// What was accepted on the callback face leaves before anything of the other
// face, whichever way that is written; and it goes along on the way back.
func TestPendingAcrossFaces(t *testing.T) {
	r := newRig(t, Config{})
	drained := make(chan struct{}, 1)
	h := drainedTo{ch: drained}
	c, peer := r.pair(Options{HighWater: 8}, func(*Conn) Handler { return h })
	clog(t, c)
	c.Write([]byte("pending!"))
	var b *Blocking
	c.Post(func(c *Conn) {
		if b = c.Block(); c.Block() != b {
			t.Error("a second Block made a second Blocking")
		}
	})
	r.settle()
	b.SetWriteDeadline(past())
	_, write := b.Write([]byte("x"))
	_, writev := b.Writev([][]byte{[]byte("x"), []byte("y")})
	raw := b.RawWrite(func(uintptr) bool { t.Error("called in front of what is pending"); return true })
	for what, err := range map[string]error{"Write": write, "Writev": writev, "RawWrite": raw, "CloseWrite": b.CloseWrite()} {
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if c.Pending() != 8 {
		t.Errorf("%d pending", c.Pending())
	}
	if err := b.Callback(h); err != nil {
		t.Fatal(err)
	}
	r.settle()
	hear(peer) // the filler
	r.settle()
	if p, err := hear(peer); string(p) != "pending!" || err != nil || c.Pending() != 0 {
		t.Errorf("heard %q, %v, %d pending", p, err, c.Pending())
	}
	receive(t, "Drained", drained)
}

// A function that is posted behind Callback runs on the callback face.
func TestPostBehindCallback(t *testing.T) {
	r := newRig(t, Config{})
	var b *Blocking
	c, peer := r.pair(Options{}, func(c *Conn) Handler { b = c.Block(); return nil })
	say(t, peer, []byte("left"))
	r.settle()
	if p, err := b.ReadPooled(&BufferPool{Size: 1}); string(p) != "l" || err != nil {
		t.Errorf("%q, %v", p, err)
	}
	b.Unread([]byte("L"))
	if err := b.Callback(funcs{data: func(*Conn) error { return nil }}); err != nil {
		t.Fatal(err)
	}
	shown := ""
	c.Post(func(c *Conn) {
		shown = string(c.Peek())
		if _, err := c.Write([]byte("from the callback face")); err != nil {
			t.Error(err)
		}
	})
	r.settle()
	if shown != "L" {
		t.Errorf("shown %q", shown)
	}
	if p, _ := hear(peer); string(p) != "from the callback face" {
		t.Errorf("heard %q", p)
	}
}

// Data that is handed over from the other face may end the connection.
func TestHandOverMayFail(t *testing.T) {
	r := newRig(t, Config{})
	var b *Blocking
	_, peer := r.pair(Options{}, func(c *Conn) Handler { b = c.Block(); return nil })
	b.Unread([]byte("bad"))
	var cause error
	err := b.Callback(funcs{
		data:   func(c *Conn) error { return io.ErrUnexpectedEOF },
		closed: func(_ *Conn, err error) { cause = err },
	})
	if err != nil {
		t.Fatal(err)
	}
	r.settle()
	if _, err := hear(peer); cause != io.ErrUnexpectedEOF || err != io.EOF {
		t.Errorf("closed with %v, the peer heard %v", cause, err)
	}
}

// ReadPooled gives the buffer back when there is nothing to put in.
func TestReadPooledGivesBack(t *testing.T) {
	r := newRig(t, Config{})
	var b *Blocking
	_, peer := r.pair(Options{}, func(c *Conn) Handler { b = c.Block(); return nil })
	pool := &countingPool{}
	b.r.set(edge) // an edge whose bytes have been read
	b.SetReadDeadline(never())
	done := make(chan error, 1)
	go func() {
		p, err := b.ReadPooled(pool)
		if string(p) != "x" {
			t.Errorf("%q, %v", p, err)
		}
		pool.Put(p)
		done <- err
	}()
	soon(t, "the reader waits", func() bool { return b.r.state.Load()&parked != 0 })
	if pool.out != 0 {
		t.Error("a reader that waits holds a buffer")
	}
	say(t, peer, []byte("x"))
	r.settle()
	receive(t, "the byte", done)
	sock.ShutdownWrite(peer)
	r.settle()
	if p, err := b.ReadPooled(pool); p != nil || err != io.EOF || pool.out != 0 {
		t.Errorf("%q, %v, %d buffers out", p, err, pool.out)
	}
	b.Close()
	if _, err := b.ReadPooled(pool); err != ErrClosed || pool.out != 0 {
		t.Errorf("after Close: %v, %d buffers out", err, pool.out)
	}
}

type countingPool struct{ out int }

func (p *countingPool) Get() []byte { p.out++; return make([]byte, 10) }
func (p *countingPool) Put([]byte)  { p.out-- }

// Done tells of a listener's end, whoever made it.
func TestListenerDone(t *testing.T) {
	rt := running(t, Config{})
	one, other := listening(t, rt, echoes), listening(t, rt, echoes)
	select {
	case <-one.Done():
		t.Error("done before Close")
	default:
	}
	one.Close()
	receive(t, "Done after Close", one.Done())
	rt.Close()
	receive(t, "Done after the runtime's end", other.Done())
}

func TestPanicError(t *testing.T) {
	p := &PanicError{Value: io.EOF}
	if !errors.Is(p, io.EOF) || p.Error() != "conn: callback panicked: EOF" {
		t.Error(p)
	}
	if p := (&PanicError{Value: "text"}); p.Unwrap() != nil || p.Error() != "conn: callback panicked: text" {
		t.Error(p)
	}
}
