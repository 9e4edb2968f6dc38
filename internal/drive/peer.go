package drive

import (
	"errors"
	"fmt"
	"time"

	"github.com/weir-go/weir/conn"
)

// peer is a connection that stays open: the modes Echo and Idle. It is made
// before it is dialed, and allocates nothing while it works.
type peer struct {
	load *Load
	conn *conn.Conn // set by serve

	// Owned by the loop.
	reading cursor // what should come back next
	writing cursor // what goes out next
	got     int    // bytes of the message that is coming in
	unsent  int    // bytes of messages begun that conn has not accepted yet
	greeted bool   // Idle: its one message was begun

	// Shared, guarded by tally.mu.
	tally  *tally
	out    int             // messages under way
	stamps []time.Duration // when each of them was sent, or was to be: a ring
	oldest int             // in stamps
	nth    int             // open loop: which message of the window is its next

	kick func(*conn.Conn) // turn(0), made once
}

// newPeers makes all that the connections need, in few pieces.
func (l *Load) newPeers() []peer {
	peers := make([]peer, l.cfg.Conns)
	stamps := make([]time.Duration, l.cfg.Conns*l.cfg.Pipeline)
	for i := range peers {
		p := &peers[i]
		*p = peer{load: l, reading: start(i), writing: start(i)}
		p.stamps, stamps = stamps[:l.cfg.Pipeline], stamps[l.cfg.Pipeline:]
		p.kick = func(c *conn.Conn) {
			if err := p.turn(0); err != nil {
				c.CloseWith(err)
			}
		}
	}
	return peers
}

// serve is called when the connection is open.
func (p *peer) serve(c *conn.Conn) conn.Handler {
	p.conn, p.tally = c, &p.load.tallies[c.Loop()]
	if p.load.cfg.Mode == Idle {
		p.kick(c)
	}
	return p
}

// Data compares what has come back, and begins a message for each that is
// complete.
func (p *peer) Data(c *conn.Conn) error {
	in := c.Peek()
	if err := p.load.pattern.check(&p.reading, in); err != nil {
		return err
	}
	c.Discard(len(in))
	p.got += len(in)
	size := p.load.cfg.Size
	if p.got < size {
		return nil
	}
	done := p.got / size
	p.got -= done * size
	return p.turn(done)
}

// turn takes done messages off those under way and begins as many new ones as
// may be.
func (p *peer) turn(done int) error {
	now := p.load.now()
	t := p.tally
	t.mu.Lock()
	if done > p.out || done > 0 && done == p.out && p.got > 0 {
		t.mu.Unlock()
		return fmt.Errorf("%w: more than was sent", ErrMismatch)
	}
	p.record(done, now)
	p.out -= done
	begun := p.due(now)
	p.out += begun
	t.out += begun - done
	t.figures.sent += uint64(begun)
	quiet := t.out == 0 && (!t.open || p.greeted)
	t.mu.Unlock()
	if quiet {
		p.load.signal()
	}
	p.unsent += begun * p.load.cfg.Size
	return p.push()
}

// record notes the latency of the n oldest messages. Those that were sent
// together mostly come back together, and are one entry. tally.mu is held.
func (p *peer) record(n int, now time.Duration) {
	f := &p.tally.figures
	if p.tally.open || p.greeted {
		f.requests += uint64(n)
	}
	for n > 0 {
		sent, same := p.stamps[p.oldest], 0
		for same < n && p.stamps[p.oldest] == sent {
			same++
			if p.oldest++; p.oldest == len(p.stamps) {
				p.oldest = 0
			}
		}
		f.latency.RecordN(now-sent, uint64(same))
		n -= same
	}
}

// due says how many messages to begin now, and stamps them. tally.mu is held.
func (p *peer) due(now time.Duration) (n int) {
	cfg := &p.load.cfg
	switch {
	case cfg.Mode == Idle:
		if !p.greeted {
			p.greeted = true
			p.stamp(0, now)
			n = 1
		}
	case !p.tally.open:
	case cfg.Rate > 0:
		for ; p.out+n < cfg.Pipeline && p.load.when(p.nth) <= now; n++ {
			p.stamp(n, p.load.when(p.nth))
			p.nth += len(p.load.clients)
		}
	default:
		for ; p.out+n < cfg.Pipeline; n++ {
			p.stamp(n, now)
		}
	}
	return n
}

// stamp notes the time of the n-th message behind those under way.
func (p *peer) stamp(n int, at time.Duration) {
	i := p.oldest + p.out + n
	if i >= len(p.stamps) {
		i -= len(p.stamps)
	}
	p.stamps[i] = at
}

// push hands the connection what is unsent.
func (p *peer) push() error { return push(p.conn, p.load.pattern, &p.writing, &p.unsent) }

// Drained goes on with what was refused.
func (p *peer) Drained(c *conn.Conn) {
	if err := p.push(); err != nil {
		c.CloseWith(err)
	}
}

// Closed gives up what was under way. Why is counted before: with nothing under
// way any more the load may be over.
func (p *peer) Closed(_ *conn.Conn, err error) {
	if err != nil {
		p.load.fail(err)
	}
	p.tally.mu.Lock()
	p.tally.out -= p.out
	p.out = 0
	p.tally.mu.Unlock()
	p.load.leave()
}

// begin implements client.
func (p *peer) begin(n int) {
	p.tally.mu.Lock()
	p.nth = n
	p.tally.mu.Unlock()
	p.post()
}

// post has what is due sent by the loop.
func (p *peer) post() {
	if err := p.conn.Post(p.kick); errors.Is(err, conn.ErrBusy) {
		p.conn.CloseWith(err)
	}
}

// giveUp implements client.
func (p *peer) giveUp() {
	p.tally.mu.Lock()
	stuck := p.out > 0
	p.tally.mu.Unlock()
	if stuck {
		p.conn.CloseWith(ErrStuck)
	}
}

// close implements client. There is nothing that the server has yet to hear, so
// nobody waits for it.
func (p *peer) close() { p.conn.CloseWith(nil) }

// push hands c the next *unsent bytes of the stream. What it refuses waits for
// Drained. Within a callback several messages leave in one system call.
func push(c *conn.Conn, stream pattern, at *cursor, unsent *int) error {
	for *unsent > 0 {
		n, err := c.Write(stream.next(*at, *unsent))
		at.advance(n)
		*unsent -= n
		if errors.Is(err, conn.ErrFull) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}
