package conn

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/internal/sock"
	"github.com/weir-go/weir/timer"
)

var client7 = netip.MustParseAddrPort("203.0.113.7:51234")

// keeps is a Handler that consumes nothing, and tells of its end.
func keeps(ends chan<- error) funcs {
	return funcs{data: func(*Conn) error { return nil }, closed: func(_ *Conn, err error) { ends <- err }}
}

// at looks at a connection's patience as the timer would at an instant.
func (r *rig) at(c *Conn, when timer.Time) {
	r.step(func() {
		r.l.now = when
		(*patience)(c).Fire(when)
	})
}

// TestWorldIsWatched: from a peer of another machine a first byte is expected,
// and then bytes at a rate, unless the program has said otherwise; from one of
// this machine nothing is.
func TestWorldIsWatched(t *testing.T) {
	for name, test := range map[string]struct {
		o     Options
		world bool
		first time.Duration
		rate  Rate
	}{
		"loopback":     {Options{}, false, 0, Rate{}},
		"told to be":   {Options{FirstByte: time.Hour, MinRate: Rate{Bytes: 1}}, false, time.Hour, Rate{1, 5 * time.Second}},
		"world":        {Options{}, true, 30 * time.Second, Rate{240, 10 * time.Second}},
		"world, other": {Options{FirstByte: time.Hour, MinRate: Rate{Bytes: 1}}, true, time.Hour, Rate{1, 5 * time.Second}},
		"world, none":  {Options{FirstByte: -1, MinRate: Rate{Bytes: -1}}, true, 0, Rate{Bytes: -1}},
	} {
		t.Run(name, func(t *testing.T) {
			var c *Conn
			r := newRig(t, Config{})
			a := acceptorOf(r, ListenConfig{Options: test.o}, func(on *Conn) Handler {
				if c = on; test.world {
					if err := c.SpeaksFor(client7); err != nil {
						t.Error(err)
					}
				}
				return keeps(make(chan error, 1))
			})
			r.connect(a)
			r.settle()
			if first, rate := c.firstByte(), c.rate(); first != test.first || rate != test.rate {
				t.Errorf("%v, %v", first, rate)
			}
			if want := test.first > 0; c.due() != timer.Never != want {
				t.Errorf("looks at it: %v", !want)
			}
		})
	}
}

// TestSilentWorld: who has sent nothing for too long is ended, who has sent a byte
// is not, nor one that is not listened to.
func TestSilentWorld(t *testing.T) {
	for name, test := range map[string]struct {
		before func(c *Conn, peer int)
		want   error
	}{
		"silent": {func(*Conn, int) {}, ErrIdle},
		"spoke":  {func(_ *Conn, peer int) { say(t, peer, []byte("x")) }, nil},
		"paused": {func(c *Conn, peer int) { c.Pause(); say(t, peer, []byte("x")) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			ends := make(chan error, 1)
			var c *Conn
			r := newRig(t, Config{})
			a := acceptorOf(r, ListenConfig{Options: Options{MinRate: Rate{Bytes: -1}}}, func(on *Conn) Handler {
				c = on
				c.SpeaksFor(client7)
				return keeps(ends)
			})
			peer := r.connect(a)
			r.settle()
			test.before(c, peer)
			r.settle()
			r.at(c, c.active.Add(worldFirstByte-time.Second))
			if len(ends) > 0 {
				t.Fatal("too early: ", <-ends)
			}
			r.at(c, c.active.Add(worldFirstByte+time.Second))
			switch {
			case test.want == nil && len(ends) > 0:
				t.Error(<-ends)
			case test.want != nil && (len(ends) == 0 || <-ends != test.want):
				t.Error("is let be")
			}
			r.turn()
			if n := r.rt.Stats().IdleCloses; n != 0 != (test.want != nil) {
				t.Errorf("%d idle closes", n)
			}
			if when := c.due(); test.want == nil && when != timer.Never && when <= r.l.now {
				t.Error("it would be looked at without a pause")
			}
		})
	}
}

// TestSlowWorld: a peer of the world that begins a message and then sends a byte now
// and then is ended, with the typed error and a count; one of this machine is not.
func TestSlowWorld(t *testing.T) {
	for name, world := range map[string]bool{"world": true, "loopback": false} {
		t.Run(name, func(t *testing.T) {
			ends := make(chan error, 1)
			var c *Conn
			r := newRig(t, Config{})
			a := acceptorOf(r, ListenConfig{}, func(on *Conn) Handler {
				if c = on; world {
					c.SpeaksFor(client7)
				}
				return keeps(ends)
			})
			peer := r.connect(a)
			r.settle()
			say(t, peer, []byte("GET / HTTP/1.1\r\nX: "))
			r.settle()
			for i := range 12 {
				say(t, peer, []byte("x"))
				r.settle()
				if c.flags&gone == 0 {
					r.at(c, timer.Now().Add(time.Duration(i)*time.Second))
				}
			}
			r.turn()
			if slow := r.rt.Stats().SlowCloses; slow != 0 != world || len(ends) > 0 != world || world && <-ends != ErrSlow {
				t.Errorf("%d slow closes", slow)
			}
		})
	}
}

// TestClientBehindAProxyHasItsGrace: what has come behind a proxy's header is a
// message that begins with the client, not one that is late already.
func TestClientBehindAProxyHasItsGrace(t *testing.T) {
	ends := make(chan error, 1)
	var c *Conn
	later := timer.Now().Add(time.Hour) // when the client is known
	r := newRig(t, Config{})
	a := acceptorOf(r, ListenConfig{}, func(on *Conn) Handler {
		c = on
		return funcs{
			data: func(c *Conn) error {
				if c.Buffered() < 12 || c.watched().header > 0 {
					return nil
				}
				r.l.now = later
				c.Discard(8)
				return c.SpeaksFor(client7)
			},
			closed: func(_ *Conn, err error) { ends <- err },
		}
	})
	peer := r.connect(a)
	r.settle()
	for _, part := range []string{"head", "er: ", "GET "} {
		say(t, peer, []byte(part))
		r.settle()
	}
	r.at(c, later.Add(worldGrace-time.Second))
	if len(ends) > 0 {
		t.Fatal("too early: ", <-ends)
	}
	r.at(c, later.Add(worldGrace+time.Second))
	if len(ends) == 0 || <-ends != ErrSlow {
		t.Error("is let be")
	}
}

// TestFaces: it is the peer's address that counts, not the listener's; on real
// sockets.
func TestFaces(t *testing.T) {
	rt := running(t, Config{Loops: 1})
	rates := make(chan Rate, 1)
	ln, err := rt.Listen(TCP(netip.MustParseAddrPort("[::]:0")), func(c *Conn) Handler {
		rates <- c.rate()
		return funcs{}
	})
	if err != nil {
		t.Skip(err)
	}
	port := ln.Addr().IP.Port()
	faces, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, face := range faces {
		p, err := netip.ParsePrefix(face.String())
		if err != nil || p.Addr().IsLinkLocalUnicast() {
			continue
		}
		nc, err := net.DialTimeout("tcp", netip.AddrPortFrom(p.Addr(), port).String(), patient)
		if err != nil {
			continue // an address that nobody can be reached at
		}
		nc.Close()
		if rate, world := receive(t, "the connection", rates), !p.Addr().IsLoopback(); rate.Bytes > 0 != world {
			t.Errorf("from %v: %+v", p.Addr(), rate)
		}
	}
}

// TestNobodyAtTheDoor: what was dialed or adopted is not of the world, nor a peer
// on a Unix socket.
func TestNobodyAtTheDoor(t *testing.T) {
	r := newRig(t, Config{})
	c, _ := r.tcp(Options{}, echoes)
	if c.fromWorld() {
		t.Error("an adopted one")
	}
	at, err := ParseAddr("unix://" + t.TempDir() + "/s")
	if err != nil {
		t.Fatal(err)
	}
	rt := running(t, Config{Loops: 1})
	world := make(chan bool, 1)
	ln, err := rt.Listen(at, func(c *Conn) Handler { world <- c.fromWorld(); return funcs{} })
	if err != nil {
		t.Fatal(err)
	}
	dial(t, ln.Addr())
	if receive(t, "the connection", world) {
		t.Error("one on a Unix socket")
	}
}

// TestSpeaksFor: the Guard counts whom a proxy speaks for, and Remote is he.
func TestSpeaksFor(t *testing.T) {
	other := netip.MustParseAddrPort("203.0.113.8:1")
	g, err := bounds.NewGuard(bounds.GuardConfig{Conns: 1, Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // after the rig's end
		if s := g.Stats(); s.Sources != 0 {
			t.Errorf("at the end: %+v", s)
		}
	})
	var refusals []error
	ends := make(chan error, 8)
	says := []netip.AddrPort{client7, client7, other, {}}
	r := newRig(t, Config{Trace: &Trace{Refused: func(_ *Listener, err error) { refusals = append(refusals, err) }}})
	a := acceptorOf(r, ListenConfig{Guard: g}, func(c *Conn) Handler {
		who := says[0]
		says = says[1:]
		if err := c.SpeaksFor(who); err != nil {
			c.CloseWith(err)
		} else if who.IsValid() && c.Remote().IP != who {
			t.Errorf("%v is %v", who, c.Remote())
		}
		return funcs{closed: func(_ *Conn, err error) { ends <- err }}
	})
	var peers []int
	for range len(says) {
		peers = append(peers, r.connect(a))
		r.settle()
	}
	if err := receive(t, "the second one's end", ends); !errors.Is(err, bounds.ErrConns) || len(refusals) != 1 || refusals[0] != err {
		t.Errorf("%v; %v", err, refusals)
	}
	if s := g.Stats(); s.Sources != 2 || s.Conns != 1 || s.Proxies != 4 || r.rt.Stats().RefusedGuard != 1 {
		t.Errorf("%+v", s)
	}
	r.closePeer(peers[0])
	r.settle()
	if err := receive(t, "the first one's end", ends); err != io.EOF {
		t.Error(err)
	}
	if s := g.Stats(); s.Sources != 1 {
		t.Errorf("%+v: what has ended is counted", s)
	}
}

// TestBehindTheHeader: what says for whom a proxy speaks is not his first byte. And
// the proxy itself is counted no more, once it has said so.
func TestBehindTheHeader(t *testing.T) {
	g, err := bounds.NewGuard(bounds.GuardConfig{Conns: 1})
	if err != nil {
		t.Fatal(err)
	}
	var c *Conn
	client := client7.Addr()
	r := newRig(t, Config{})
	a := acceptorOf(r, ListenConfig{Guard: g}, func(on *Conn) Handler {
		c = on
		return funcs{data: func(c *Conn) error {
			if c.fromWorld() {
				return nil
			}
			c.Discard(len("header"))
			client = client.Next()
			return c.SpeaksFor(netip.AddrPortFrom(client, 1))
		}}
	})
	peer := r.connect(a)
	r.settle()
	say(t, peer, []byte("header"))
	r.settle()
	if first := c.firstByte(); first != worldFirstByte {
		t.Errorf("behind the header: %v", first)
	}
	say(t, peer, []byte("x"))
	r.settle()
	if first := c.firstByte(); first != 0 {
		t.Errorf("behind his first byte: %v", first)
	}
	second := r.connect(a)
	r.settle()
	say(t, second, []byte("headerx"))
	r.settle()
	if first := c.firstByte(); first != 0 || g.Stats().Let != 4 || g.Stats().Sources != 2 {
		t.Errorf("with his first byte: %v; %+v", first, g.Stats())
	}
}

// TestWorldIsTimed: nobody has to do anything for it, the timer is set when the
// connection is opened.
func TestWorldIsTimed(t *testing.T) {
	for peer, want := range map[string]bool{"203.0.113.7:1": true, "[2001:db8::1]:1": true, "127.0.0.9:1": false, "[::1]:1": false, "[::ffff:127.0.0.1]:1": false} {
		var c *Conn
		r := newRig(t, Config{})
		a := acceptorOf(r, ListenConfig{}, func(on *Conn) Handler { c = on; return funcs{} })
		fd, other := tcpPair(t)
		r.peer = append(r.peer, other)
		r.rt.force(bounds.Server)
		r.step(func() { a.deal(r.l, fd, sock.PeerOf(netip.MustParseAddrPort(peer)), bounds.Server) })
		r.settle()
		if set := c.timer.Active(); set != want {
			t.Errorf("%s: %v", peer, set)
		}
	}
}
