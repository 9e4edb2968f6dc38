package stream

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/timer"
)

// giving is how a Server gives way when the process is short of something.
//
//	every second: Verdict ─┬─ Normal: nothing
//	                       ├─ Shed, and worse: a twentieth of the sessions may go that have no streams ─┐
//	                       └─ Critical, and worse: a twentieth of the streams, of the most idle ────────┤
//	                                                                                                    ▼
//	                                                       sessions are asked; each looks on its loop ──┴─► GOAWAY
//	                                                       what it has, and takes of what may go           trailers
//
// While the state is not Normal each session also counts its streams by how long
// they have been idle, so that the next look knows which are the oldest.
type giving struct {
	every time.Duration // between two looks
	look  *time.Timer   // nil: there are no sessions. Guarded by Server.mu

	state    atomic.Uint32      // bounds.State, at the last look
	sessions atomic.Int64       // that may still go before the next
	streams  atomic.Int64       // likewise
	idle     atomic.Int64       // seconds after which a stream may
	census   [ages]atomic.Int64 // streams by the length of their idle seconds in bits
}

const (
	ages = 33

	// giveEvery is how often a server looks whether it has to give way.
	giveEvery = time.Second

	// givePart of the sessions, and of the streams, go in that time; one at least.
	givePart = 20

	// leastIdle is how long sessions and streams must have been idle to go.
	leastIdle = 10 * time.Second

	// askedMost are the sessions that are asked in one look. Which they are of
	// more is left to chance.
	askedMost = 4096
)

// lookAround asks whether there is a shortage, and has sessions look what they
// can do without.
func (s *Server) lookAround() {
	g, v := &s.giving, s.cfg.Admit.Verdict()
	from := bounds.State(g.state.Swap(uint32(v.State)))
	if t := s.cfg.Trace; from != v.State && t != nil && t.State != nil {
		t.State(from, v.State, v.Resource)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.State >= bounds.Shed {
		g.grant(v.State, int64(len(s.sessions)), s.count.streams.Load())
		n := 0
		for sess := range s.sessions {
			if n++; n > askedMost {
				break
			}
			sess.ask(wishGiveWay)
		}
	}
	if g.look != nil {
		g.look.Reset(g.every)
	}
}

// lookOut begins to look around with the first session, and ends with the last.
// mu is held.
func (s *Server) lookOut() {
	g := &s.giving
	switch {
	case s.cfg.Admit == nil:
	case len(s.sessions) > 0 && g.look == nil:
		g.look = time.AfterFunc(g.every, s.lookAround)
	case len(s.sessions) == 0 && g.look != nil:
		g.look.Stop()
		g.look = nil
	}
}

// grant says how much may go until the next look.
func (g *giving) grant(state bounds.State, sessions, streams int64) {
	g.sessions.Store(max(sessions/givePart, 1))
	g.idle.Store(g.oldest())
	if state < bounds.Critical {
		streams = 0
	} else {
		streams = max(streams/givePart, 1)
	}
	g.streams.Store(streams)
}

// oldest returns for how many seconds the twentieth of streams has been idle that
// has been so for longest, about, and begins to count them anew.
func (g *giving) oldest() int64 {
	var n [ages]int64
	all := int64(0)
	for i := range n {
		n[i] = g.census[i].Swap(0)
		all += n[i]
	}
	for i, some := ages-1, int64(0); i > 0; i-- {
		if some += n[i]; some > 0 && some >= all/givePart {
			return max(1<<(i-1), int64(leastIdle/time.Second))
		}
	}
	return math.MaxInt64 // none is known
}

// take takes one of what may go; false when there is nothing left.
func take(left *atomic.Int64) bool { return left.Load() > 0 && left.Add(-1) >= 0 }

// giveWay is the answer of a session that was asked. Loop only.
func (s *Session) giveWay(now timer.Time) {
	if s.state >= closing || s.core.Err() != nil {
		return
	}
	g, c := &s.srv.giving, &s.care
	if s.core.Len() == 0 {
		if s.state == running && c.idle != 0 && now >= c.idle.Add(leastIdle) && take(&g.sessions) {
			s.dismiss()
		}
		return
	}
	s.inspect(now)
	t := s.ticks(now)
	s.each(func(st *Stream) {
		if !st.mayGo() {
			return
		}
		idle := int64(t-st.since.idle) << tickShift / int64(time.Second)
		g.census[bits.Len64(uint64(idle))].Add(1)
		if idle >= g.idle.Load() && take(&g.streams) {
			st.sendAway()
		}
	})
}

// dismiss drains a session without streams: the client connects again when it
// has something to call.
func (s *Session) dismiss() {
	s.own.count.dismissed.Add(1)
	if t := s.own.cfg.Trace; t != nil && t.Dismissed != nil {
		t.Dismissed(s)
	}
	s.drain("shedding")
}

// mayGo reports whether the stream may be ended for a shortage if it is idle, and
// nothing is lost by it: what has come was taken. One for which something waits to
// be sent is not idle.
func (st *Stream) mayGo() bool {
	return st.flags&finishing == 0 && !st.method.short() && !st.method.Vital && st.between()
}

// sendAway ends an idle stream, and tells the client when to come back. One whose
// method has begun has its header first: without that the client, or what is
// between, would take it for one that was not let in, and do all again that the
// method has been sent.
func (st *Stream) sendAway() {
	x := st.sess.srv.shortBy()
	status := Statusf(Unavailable, "the stream was idle, and the server is short of %s", x.of)
	x.tell(st)
	st.tellTwin()
	st.overFor(ReasonShortage, status)
	if m := st.method; m.Go == nil || !m.Await || st.flags&(serving|detached) != 0 {
		st.sendHeader()
	}
	st.finish(status)
}
