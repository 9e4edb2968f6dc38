package conn

import (
	"time"

	"github.com/weir-go/weir/internal/sock"
	"github.com/weir-go/weir/timer"
)

// A connection has one timer for everything it may lose patience with: its
// idle time-out, its peer's first byte, the least rate of an incomplete message,
// the time Close may take to flush and then to be heard, and on the blocking face
// its deadlines. It is set lazily: bytes that arrive only note the time, and the
// timer looks at the notes when it comes up.

// vigil is what the timer's looks compare. Most connections need none.
type vigil struct {
	closeBy  timer.Time // closing: when flushing has taken too long; lingering: when the peer has
	bye      *goodbye   // lingering: what else there is to compare
	message  timer.Time // when the incomplete message in left began, for MinRate
	msgStart uint64     // received when it began
	sentSeen uint64     // sent at the last look
	header   uint64     // received before the first byte of whom the peer speaks for
}

// watched returns c's vigil.
func (c *Conn) watched() *vigil {
	if c.vigil == nil {
		c.vigil = new(vigil)
	}
	return c.vigil
}

// patience is a Conn as a timer's Firer.
type patience Conn

// rateTick is how often a look is repeated once its time has come: at the rate of
// an incomplete message after its grace, say.
const rateTick = time.Second

// arm sets the timer to the first instant at which patience may end.
func (c *Conn) arm() {
	l := c.loop
	if c.flags&gone != 0 || c.block != nil {
		return
	}
	if when := c.due(); when != timer.Never {
		l.heap.Set(&c.timer, when)
	} else {
		l.heap.Stop(&c.timer)
	}
}

// due is the first instant at which there is something to check.
func (c *Conn) due() timer.Time {
	when := timer.Never
	if c.flags&lingering != 0 {
		return min(c.vigil.closeBy, c.vigil.bye.look)
	}
	if c.flags&closing != 0 {
		when = c.watched().closeBy
	}
	if d := c.idle(); d > 0 {
		when = min(when, c.orNext(c.active.Add(d)))
	}
	if c.guarded() {
		when = min(when, c.orNext(c.vigil.message.Add(c.rate().Grace)))
	}
	return when
}

// orNext is the instant at, or that of the next look when it has passed without
// an end.
func (c *Conn) orNext(at timer.Time) timer.Time {
	if now := c.loop.now; at <= now {
		return now.Add(rateTick)
	}
	return at
}

// guarded reports whether a message is incomplete that has a least rate.
func (c *Conn) guarded() bool {
	return c.left != nil && c.vigil != nil && c.flags&(closing|ended) == 0 && c.rate().Bytes > 0
}

// rated reports whether the least rate applies: a message is incomplete, and it
// is the peer that everybody waits for.
func (c *Conn) rated() bool {
	return c.guarded() && c.work == 0 && !c.paused.Load() && c.pending.Load() == 0 && c.left.Len() < c.set.InLimit
}

// Fire looks at the notes.
func (p *patience) Fire(now timer.Time) {
	c := (*Conn)(p)
	if b := c.block; b != nil {
		b.expire(c.loop, now)
		return
	}
	// Output that moved is a sign of life too. When is not noted, so what
	// moved since the last look counts as having moved now.
	v := c.watched()
	c.mu.Lock()
	if c.sent != v.sentSeen {
		v.sentSeen, c.active = c.sent, now
	}
	c.mu.Unlock()
	switch {
	case c.flags&lingering != 0: // nothing else counts any more
		c.loop.listen(c)
	case c.flags&closing != 0 && now >= v.closeBy:
		sock.SetLinger(c.fd, 0)
		c.loop.rt.aborts.Add(1)
		c.fail(ErrFlush)
	case c.silent(now):
		c.loop.count.idle++
		c.fail(ErrIdle)
	case c.rated() && c.tooSlow(now):
		c.loop.count.slow++
		c.fail(ErrSlow)
	default:
		if c.guarded() && !c.rated() {
			c.messageBegan() // it was not the peer who held it up: a new grace
		}
		c.arm()
	}
}

// tooSlow compares what has come of the incomplete message with what should
// have.
func (c *Conn) tooSlow(now timer.Time) bool {
	rate := c.rate()
	took := now.Sub(c.vigil.message)
	if took < rate.Grace {
		return false
	}
	return float64(c.received-c.vigil.msgStart) < float64(rate.Bytes)*took.Seconds()
}

// messageGoesOn gives the peer of an incomplete message a new grace after
// somebody else had held it up.
func (c *Conn) messageGoesOn() {
	if c.left != nil {
		c.messageBegan()
	}
}

// messageBegan notes that what is left unconsumed is the start of a message.
func (c *Conn) messageBegan() {
	if c.rate().Bytes > 0 {
		v := c.watched()
		v.message, v.msgStart = c.loop.now, c.received-uint64(c.left.Len())
	}
}
