package stream

import "github.com/weir-go/weir/internal/h2"

// Bytes of messages that wait (to be complete, to be received, to be sent) are
// counted for the session and for the server. Above the budget the connection's
// window is not opened again until they have become fewer.

// hold counts n bytes, release takes them off. Any goroutine.
func (s *Session) hold(n int) {
	if n != 0 {
		s.held.Add(int64(n))
		s.own.held.Add(int64(n))
	}
}

func (s *Session) release(n int) { s.hold(-n) }

// holdIn and releaseIn do the same for bytes that the peer has sent.
func (s *Session) holdIn(n int) {
	if n != 0 {
		s.heldIn.Add(int64(n))
		s.hold(n)
	}
}

func (s *Session) releaseIn(n int) { s.holdIn(-n) }

// counted is what the session holds of what the budget is for: of a server's,
// all. A client's answers its peer for what that one has sent; what it sends
// itself, and keeps until something is answered, may wait for the very bytes that
// a closed window would hold up.
func (s *Session) counted() int64 {
	if s.line != nil {
		return s.heldIn.Load()
	}
	return s.held.Load()
}

// over reports whether the session holds more than it may: more than its
// budget or, when the server's is used up, than its share of that. Messages that
// are not complete do not count: they have a bound of their own, and would never
// be complete if the connection's window was withheld for them. Loop only.
func (s *Session) over() bool {
	held := s.counted() - s.growing.bytes
	return held > 0 && held > s.allowance()
}

// allowance is how much the session may hold.
func (s *Session) allowance() int64 {
	cfg := &s.own.cfg
	if s.own.held.Load() <= cfg.ServerBudget {
		return cfg.SessionBudget
	}
	return min(cfg.SessionBudget, cfg.ServerBudget/max(s.own.count.sessions.Load(), 1))
}

// crowded reports whether the session gets no new streams for what is held. One
// session alone must not use up what all have: from half of the server's budget
// on, those with more than their share of that get none; the others do up to
// twice the budget, because streams that are open already may have overdrawn it.
// Any goroutine.
func (s *Session) crowded() bool {
	cfg, all := &s.own.cfg, s.own.held.Load()
	switch {
	case all <= cfg.ServerBudget/2:
		return false
	case all > 2*cfg.ServerBudget:
		return true
	}
	return s.held.Load() > cfg.ServerBudget/2/max(s.own.count.sessions.Load(), 1)
}

// creditConn opens the connection's window by n received bytes, or withholds
// them.
func (s *Session) creditConn(n int) {
	if s.withheld == 0 && !s.over() {
		s.core.ConsumeConn(n)
		return
	}
	if s.withheld == 0 {
		s.tally.withheld++
	}
	s.withheld += n
	s.short.Store(true)
}

// settleBudget gives back what was withheld when there is room again, and ends a
// session that holds twice its budget.
func (s *Session) settleBudget() {
	if s.withheld == 0 {
		return
	}
	if s.heldIn.Load()-s.growing.bytes > 2*s.own.cfg.SessionBudget {
		s.fail(h2.EnhanceYourCalm, "the session's byte budget is used up")
		return
	}
	if !s.over() {
		s.core.ConsumeConn(s.withheld)
		s.withheld = 0
		s.short.Store(false)
		s.spill()
	}
}
