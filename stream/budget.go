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

// over reports whether the session holds more than it may: more than its
// budget or, when the server's is used up, than its share of that.
func (s *Session) over() bool {
	held, cfg := s.held.Load(), &s.own.cfg
	if held > cfg.SessionBudget {
		return true
	}
	if s.own.held.Load() <= cfg.ServerBudget {
		return false
	}
	return held > cfg.ServerBudget/max(s.own.count.sessions.Load(), 1)
}

// creditConn opens the connection's window by n received bytes, or withholds
// them.
func (s *Session) creditConn(n int) {
	if s.withheld == 0 && !(s.held.Load() > 0 && s.over()) {
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
	if s.heldIn.Load() > 2*s.own.cfg.SessionBudget {
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
