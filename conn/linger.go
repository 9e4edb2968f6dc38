package conn

import (
	"time"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/internal/sock"
	"github.com/weir-go/weir/timer"
)

// A close that is heard. TCP answers input that nobody will read with a reset:
// when a socket is closed with bytes unread, and when bytes reach one that is
// closed already (RFC 1122, 4.2.2.13). The reset takes with it what our kernel
// has not sent yet, and on some systems what the peer's has received and the
// peer has not read. So a last answer is lost just when the peer still talks:
// in the middle of the request that is refused, or with the next one on its way
// (RFC 9112, 9.6).
//
//	Close ─► flush ─► throw away what is there ─┬─ the peer's end ──────► drop
//	                                            ├─ nothing at stake ────► drop
//	                                            └─ send our end of stream
//	                                               and throw away on ─┬─ the peer's end
//	                                                                  ├─ nothing at stake any more
//	                                                                  ├─ CloseTimeout
//	                                                                  └─ LingerBytes
//
// Something is at stake when bytes were sent and either input was unread, for
// then more may come, or the peer's TCP has not acknowledged them all, or bytes
// have been on the way so lately that the peer may not have read, or may be
// about to send more. A connection that has been silent costs one recv and one
// getsockopt more than close(2) alone, one whose end has been read nothing.

// hush is how long a connection must have been silent in both directions, with
// everything acknowledged, to be closed although its peer has not ended: time
// to read what has arrived. net/http gives its clients as much.
const hush = 500 * time.Millisecond

// farewellHush is hush for who is told that there is no room: a process that has
// not read it yet, because it has no core, say, and writes meanwhile, would find
// out that the connection is broken and not why. Their number is bounded, and
// whoever has read it hangs up.
const farewellHush = 2 * time.Second

// hush is how long c must have been silent to be closed.
func (c *Conn) hush() time.Duration {
	if c.class == bounds.Farewell {
		return farewellHush
	}
	return hush
}

// firstLook is when a connection that needs no hush is looked at again.
const firstLook = 10 * time.Millisecond

// goodbye is what a lingering connection's timer compares.
type goodbye struct {
	look    timer.Time    // when to ask whether it still has to linger
	silence time.Duration // for how long it must have been silent then
	pace    time.Duration // between looks
	heard   uint64        // received at the last look
	hearTo  uint64        // received at which the peer has said too much
}

// conclude ends a closing connection that has nothing pending. silence is how
// long it must have been silent to be closed at once. On the loop.
func (l *loop) conclude(c *Conn, silence time.Duration) {
	if c.flags&(lingering|gone) != 0 {
		return
	}
	if c.flags&ended != 0 {
		l.drop(c)
		return
	}
	before := c.received
	c.flags |= deaf | readable
	l.fill(c)
	switch {
	case c.flags&gone != 0: // by the peer's end, or an error
	case !c.stakes(c.received > before, silence):
		l.drop(c)
	case !l.rt.mayLinger(c.class):
		l.count.lingerFull++
		l.drop(c)
	default:
		l.linger(c, before, silence)
	}
}

// stakes reports whether a reset might destroy something. On Unix sockets, what
// is sent is the peer's at once; but an error is what it would read instead of
// the end if input were unread.
func (c *Conn) stakes(unread bool, silence time.Duration) bool {
	if c.sent == 0 && c.flags&wasBlocking == 0 {
		return false
	}
	return unread || c.peer.IsValid() && c.flags&onUnix == 0 && unheard(c.fd, silence)
}

// mayLinger counts one more that lingers, if one may. When descriptors are
// short, peers that wait for one go first. A farewell is all for nothing if it is
// not heard, and its share of descriptors bounds it.
func (rt *Runtime) mayLinger(class bounds.Class) bool {
	if class == bounds.Farewell {
		rt.lingers.Add(1)
		return true
	}
	if rt.parked.Load() > 0 {
		return false
	}
	for n := rt.lingers.Load(); n < int64(rt.cfg.LingerConns); n = rt.lingers.Load() {
		if rt.lingers.CompareAndSwap(n, n+1) {
			return true
		}
	}
	return false
}

// linger sends our end of stream and waits for the peer's. since is what had
// been received when Close began to throw away.
func (l *loop) linger(c *Conn, since uint64, silence time.Duration) {
	c.flags |= lingering
	l.count.lingered++
	c.mu.Lock()
	if c.shut&finSent == 0 {
		c.shut |= finSent
		sock.ShutdownWrite(c.fd) // fails only when the peer has gone, which a read finds out
	}
	c.mu.Unlock()
	if t := l.trace; t != nil && t.Lingering != nil {
		t.Lingering(c)
	}
	v := c.watched()
	v.closeBy = l.now.Add(l.rt.cfg.CloseTimeout)
	v.bye = &goodbye{
		silence: silence, pace: max(silence, firstLook),
		hearTo: since + uint64(l.rt.cfg.LingerBytes),
	}
	l.lookAgain(c)
	l.heard(c)
}

// lookAgain sets the time at which c is asked whether it still has to linger.
func (l *loop) lookAgain(c *Conn) {
	b := c.vigil.bye
	b.heard, b.look = c.received, l.now.Add(b.pace)
	b.pace = min(2*b.pace, hush)
	c.arm()
}

// listen ends a lingering connection whose time is over, or for which nothing is
// at stake any more: the peer's TCP has it all, and nobody says anything.
func (l *loop) listen(c *Conn) {
	switch b := c.vigil.bye; {
	case l.now >= c.vigil.closeBy:
		l.count.lingerTime++
		l.drop(c)
	case !c.stakes(c.received > b.heard, b.silence):
		l.drop(c)
	default:
		l.lookAgain(c)
	}
}

// lingersNot takes c out of those that linger.
func (l *loop) lingersNot(c *Conn) {
	if c.flags&lingering != 0 {
		l.rt.lingers.Add(-1)
	}
	c.flags &^= lingering | deaf
}

// throwAway takes n bytes from a peer that nobody listens to any more.
func (l *loop) throwAway(c *Conn, n int) {
	c.received += uint64(n)
	l.count.bytesRead += uint64(n)
	if t := l.trace; t != nil && t.Read != nil {
		t.Read(c, n)
	}
	if c.flags&lingering != 0 {
		l.heard(c)
	}
}

// heard cuts a peer off that has been heard for long enough.
func (l *loop) heard(c *Conn) {
	if c.received >= c.vigil.bye.hearTo {
		l.count.lingerBytes++
		l.drop(c)
	}
}
