package stream

import (
	"errors"
	"testing"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/h2"
)

// pings counts the PINGs that the server has been sent, and answers them.
func (f *far) pings(answer bool) (n int) {
	var acks []byte
	for b := f.l.out; len(b) >= h2.HeaderLen; {
		h := h2.ParseHeader(b)
		if h.Type == h2.FramePing && !h.Flags.Has(h2.FlagAck) {
			n++
			acks = h2.AppendPing(acks, true, [8]byte(b[h2.HeaderLen:]))
		}
		b = b[h2.HeaderLen+int(h.Length):]
	}
	f.l.out = f.l.out[:0]
	if answer && n > 0 {
		f.feed(acks)
	}
	return n
}

// A connection is asked for a sign of life when something depends on it.
func TestClientPings(t *testing.T) {
	for _, always := range []bool{false, true} {
		g := newStage(t, ClientConfig{Config: Config{Keepalive: Keepalive{Time: 10 * time.Second}, MaxIdle: -1}, PingIdle: always})
		g.start("/a/B", CallOptions{})
		f := g.connect()
		n := 0
		for range 60 {
			f.pass(time.Second)
			n += f.pings(true)
		}
		if n < 4 || n > 6 {
			t.Errorf("%d pings in a minute", n)
		}
		f.finish(1, "0")
		n = 0
		for range 60 {
			f.pass(time.Second)
			n += f.pings(true)
		}
		if always != (n > 3) || n > 6 {
			t.Errorf("%d pings in a minute without a call", n)
		}
		g.start("/a/B", CallOptions{})
		for range 40 {
			f.pass(time.Second)
			f.pings(false)
		}
		if !f.l.closed || g.c.Stats().Dead != 1 {
			t.Errorf("it lives without a sign of life: %+v", g.c.Stats())
		}
		f.lose()
	}
}

// A server that is told off for pinging too often is pinged half as often.
func TestClientPingsLess(t *testing.T) {
	g := newStage(t, ClientConfig{Config: Config{Keepalive: Keepalive{Time: 10 * time.Second}}})
	g.start("/a/B", CallOptions{})
	a := g.connect()
	a.feed(h2.AppendGoAway(nil, 1, h2.EnhanceYourCalm, "too_many_pings"))
	if d := g.c.aliveTime(); d != 20*time.Second {
		t.Errorf("it pings every %v", d)
	}
	a.lose()
	for range 100 { // it does not overflow
		g.c.mu.Lock()
		l := &line{client: g.c}
		g.c.mu.Unlock()
		l.goAway(h2.EnhanceYourCalm, "too_many_pings")
	}
	if d := g.c.aliveTime(); d <= 0 {
		t.Errorf("it pings every %v", d)
	}
}

// A connection that is never ready is given up in time.
func TestDialTimeout(t *testing.T) {
	p := newCouple(t, Config{}, ClientConfig{}, nil)
	held := make(chan *conn.Conn, 100)
	cli := NewClient(p.rt, ClientConfig{
		Targets:     []conn.Addr{p.addr},
		DialTimeout: 20 * time.Millisecond,
		Connect: func(c *conn.Conn, attach func(Link) *Session, failed func(error)) conn.Handler {
			held <- c
			return mute{}
		},
	})
	if _, err := invoke(soon(t), cli, "/c/Unary", "x", CallOptions{}); !errors.Is(err, &Status{Code: Unavailable}) {
		t.Error(err)
	}
	if err := cli.Close(); err != nil {
		t.Error(err)
	}
	for len(held) > 0 {
		(<-held).Abort()
	}
}

// mute is a connection of which nobody makes a session.
type mute struct{}

func (mute) Data(c *conn.Conn) error  { c.Discard(c.Buffered()); return nil }
func (mute) Closed(*conn.Conn, error) {}
