package conn

import (
	"net/netip"
	"time"

	"github.com/weir-go/weir/internal/sock"
	"github.com/weir-go/weir/timer"
)

// Who comes in at a listener's door is judged by where he comes from. Nobody has
// to ask for it: the zero value of everything is the safe one.
//
//	a Unix socket, loopback      nothing is expected of him
//	anywhere else, "the world"   Options.FirstByte and Options.MinRate have their defaults
//	a proxy                      as it is itself, until it says for whom it speaks (SpeaksFor); then as that one
//
// It is the peer that counts and not where the listener listens: a server on all
// addresses has peers of both kinds. Connections that were dialed or adopted here
// are nobody's at the door.

// The world's defaults. A person's browser on a bad line sends more than this; a
// thousand connections that send a byte a minute each to keep a thousand
// descriptors occupied do not.
const (
	worldFirstByte = 30 * time.Second
	worldBytes     = 240 // a second
	worldGrace     = 10 * time.Second
)

// fromWorld reports whether c was accepted from another machine.
func (c *Conn) fromWorld() bool {
	return c.ln != nil && c.peer.IsValid() && !c.peer.AddrPort().Addr().IsLoopback()
}

// rate is the least rate that holds for c.
func (c *Conn) rate() Rate {
	if r := c.set.MinRate; r.Bytes != 0 || !c.fromWorld() {
		return r
	}
	return Rate{Bytes: worldBytes, Grace: worldGrace}
}

// firstByte is how long the peer's first byte may take; 0: for ever, or it has
// come. What has been on the blocking face had its own deadlines there.
func (c *Conn) firstByte() time.Duration {
	if c.flags&wasBlocking != 0 || c.received > 0 && (c.vigil == nil || c.received > c.vigil.header) {
		return 0
	}
	d := c.set.FirstByte
	if d == 0 && c.fromWorld() {
		d = worldFirstByte
	}
	return max(d, 0)
}

// idle is how long no byte may come or go; 0: for ever.
func (c *Conn) idle() time.Duration {
	idle, first := c.set.Idle, c.firstByte()
	if idle <= 0 || first > 0 && first < idle {
		return first
	}
	return idle
}

// silent reports whether it has been idle for too long. A first byte that nobody
// has looked for is not late.
func (c *Conn) silent(now timer.Time) bool {
	past := func(d time.Duration) bool { return d > 0 && now >= c.active.Add(d) }
	return past(c.set.Idle) || past(c.firstByte()) && c.work == 0 && !c.paused.Load()
}

// SpeaksFor says that the peer is a proxy, and for whom it speaks: from here on
// Remote is client, and the listener's Guard counts the connection as his. An
// error is the Guard's, which does not let him in; the caller ends the connection
// with it. It is for who reads that from the connection's first bytes, and has
// made sure that the peer may be believed, as package proxyproto does. Loop only,
// and before any other goroutine has the connection.
func (c *Conn) SpeaksFor(client netip.AddrPort) error {
	c.loop.check()
	peer := sock.PeerOf(client)
	if !peer.IsValid() {
		return nil
	}
	if ln := c.ln; ln != nil && ln.guard != nil {
		if err := ln.enter(peer, c.loop.now); err != nil {
			c.loop.count.refGuard++
			ln.refused(err)
			return err
		}
		ln.guard.Leave(c.peer.Addr().IP.Addr(), c.loop.now)
	}
	if !c.peer.IsValid() {
		c.flags |= onUnix
	}
	c.peer = peer
	// He may be of the world where his proxy is not, and has sent only what is
	// behind the header.
	c.watched().header = c.received - uint64(c.Buffered())
	c.active = c.loop.now
	c.messageGoesOn()
	c.arm()
	return nil
}

// enter asks the door for a connection.
func (ln *Listener) enter(peer sock.Peer, now timer.Time) error {
	if ln.guard == nil {
		return nil
	}
	return ln.guard.Enter(peer.Addr().IP.Addr(), now)
}

// leave counts one that has ended, or did not come to be.
func (ln *Listener) leave(peer sock.Peer) {
	ln.open.Add(-1)
	if ln.guard != nil {
		ln.guard.Leave(peer.Addr().IP.Addr(), timer.Now())
	}
}

// refused traces who is not let in.
func (ln *Listener) refused(err error) {
	if t := ln.rt.cfg.Trace; t != nil && t.Refused != nil {
		t.Refused(ln, err)
	}
}
