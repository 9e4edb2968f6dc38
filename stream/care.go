package stream

import (
	"math/rand/v2"
	"time"

	"github.com/weir-go/weir/internal/h2"
	"github.com/weir-go/weir/timer"
)

// care is what a session watches over with one timer. Like a connection's, it is
// set lazily: events only note the time, and the timer looks at the notes.
type care struct {
	timer    timer.Timer
	born     timer.Time
	heard    timer.Time // when bytes came last
	pinged   timer.Time // when our keepalive PING went out; 0: none is
	block    timer.Time // when the header block or the frame that is not complete began; 0: none
	idle     timer.Time // since when there is no stream; 0: there is one
	maxAge   timer.Time // when the session is old; Never: it does not age
	sweep    timer.Time // when streams are looked at; 0: they are not
	looked   ticks      // when they were, last
	final    bool       // draining: the last GOAWAY is out
	finalBy, // draining: when it goes out without an answer
	graceTo timer.Time // draining: when streams have had their time

	busy    bool       // a stream was opened since idle was set
	spoke   bool       // we sent HEADERS or DATA since the peer's last PING
	pingAt  timer.Time // the peer's last PING
	strikes int        // PINGs that came too early
}

// The data of PINGs that wait for a certain answer.
var (
	drainPing = [8]byte{'w', 'e', 'i', 'r', 'd', 'r', 'n', '1'}
	alivePing = [8]byte{'w', 'e', 'i', 'r', 'l', 'i', 'v', 'e'}
)

// drainWait is how long the first GOAWAY may take to be answered.
const drainWait = 10 * time.Second

// idlePing is how often a peer without streams may ping, where it may at all.
const idlePing = 2 * time.Hour

// caretaker is a Session as a timer's Firer.
type caretaker Session

// watchOver begins.
func (s *Session) watchOver() {
	c, cfg := &s.care, &s.own.cfg
	now := s.link.Now()
	c.timer.Init((*caretaker)(s))
	c.born, c.heard, c.idle = now, now, now
	c.maxAge = timer.Never
	if d := cfg.MaxAge; d > 0 {
		// Sessions that began together shall not end together.
		c.maxAge = now.Add(d - d/10).Add(rand.N(d/5 + 1)) // each may come to Never
	}
	s.arm(now)
}

// arm sets the timer to the next look.
func (s *Session) arm(now timer.Time) {
	c, cfg := &s.care, &s.own.cfg
	when := c.heard.Add(s.aliveTime())
	if c.pinged != 0 {
		when = c.pinged.Add(cfg.Keepalive.Timeout)
		if soon := c.pinged.Add(s.aliveTime()); soon > now { // it may be answered by then
			when = min(when, soon)
		}
	}
	if look := s.growing.look; look != 0 {
		when = min(when, look)
	}
	if c.sweep != 0 {
		when = min(when, c.sweep)
	}
	if !s.core.Ready() {
		when = min(when, c.born.Add(cfg.HeaderTimeout))
	}
	if c.block != 0 {
		when = min(when, c.block.Add(cfg.HeaderTimeout))
	}
	if cfg.MaxIdle > 0 && s.state == running {
		since := c.idle
		if since == 0 {
			since = now
		}
		when = min(when, since.Add(cfg.MaxIdle))
	}
	if s.state == running {
		when = min(when, c.maxAge)
		if s.farewell {
			when = min(when, c.born.Add(farewellWait))
		}
	}
	if s.state == draining {
		if !c.final {
			when = min(when, c.finalBy)
		}
		when = min(when, c.graceTo)
	}
	s.link.SetTimer(&c.timer, when)
}

// aliveTime is how long the peer may be silent before it is pinged.
func (s *Session) aliveTime() time.Duration {
	if s.line != nil {
		return s.line.client.aliveTime()
	}
	return s.own.cfg.Keepalive.Time
}

// unfinished notes since when a header block is not complete, or a frame: what
// Feed has left of the bytes it was given is one, other than DATA. used are the
// bytes of all that it has consumed.
func (s *Session) unfinished(used, all int) {
	c := &s.care
	switch began := c.block; {
	case !s.core.InBlock() && used == all:
		c.block = 0
	case began == 0:
		c.block = s.link.Now()
		s.arm(c.block)
	case !s.core.InBlock() && used > 0: // the one before is complete
		c.block = s.link.Now()
	}
}

// streamLeft notes that a stream has ended.
func (s *Session) streamLeft() {
	if s.core.Len() == 0 {
		s.care.idle, s.care.busy = s.link.Now(), false
	}
}

// Fire looks at the notes.
func (k *caretaker) Fire(now timer.Time) {
	s := (*Session)(k)
	if s.state >= closing {
		return
	}
	s.begin()
	s.look(now)
	if s.state < closing && s.core.Err() == nil {
		s.arm(now)
	}
	s.flush()
}

func (s *Session) look(now timer.Time) {
	c, cfg := &s.care, &s.own.cfg
	if c.busy {
		c.idle = 0
		if s.core.Len() == 0 {
			c.idle, c.busy = now, false
		}
	}
	switch {
	case !s.core.Ready() && now >= c.born.Add(cfg.HeaderTimeout):
		s.tally.slow++
		s.fail(h2.SettingsTimeout, "no SETTINGS in time")
	case c.block != 0 && now >= c.block.Add(cfg.HeaderTimeout):
		s.tally.slow++
		s.fail(h2.EnhanceYourCalm, s.slowWhat())
	case c.pinged != 0 && c.heard >= c.pinged:
		c.pinged = 0
	case c.pinged != 0 && now >= c.pinged.Add(cfg.Keepalive.Timeout):
		s.tally.dead++
		s.close(errDead)
		s.link.CloseWith(errDead) // nobody reads what could be flushed
	case c.pinged == 0 && now >= c.heard.Add(s.aliveTime()):
		if s.line != nil && s.core.Len() == 0 && !s.line.client.set.PingIdle {
			c.heard = now // nothing depends on it: another look later
			break
		}
		c.pinged = now
		s.core.Ping(alivePing)
	}
	s.lookAtAge(now)
	s.lookAtTurns(now)
	s.lookAtStreams(now)
}

func (s *Session) slowWhat() string {
	if s.core.InBlock() {
		return "a header block takes too long"
	}
	return "a frame takes too long"
}

func (s *Session) lookAtAge(now timer.Time) {
	c, cfg := &s.care, &s.own.cfg
	switch {
	case s.state == running && s.farewell && now >= c.born.Add(farewellWait):
		s.turnAway()
	case s.state == running && now >= c.maxAge:
		s.drain("max_age")
	case s.state == running && cfg.MaxIdle > 0 && c.idle != 0 && now >= c.idle.Add(cfg.MaxIdle):
		s.drain("max_idle")
	case s.state == draining && !c.final && now >= c.finalBy:
		s.lastGoAway()
	}
	if s.state == draining && now >= c.graceTo {
		s.close(errGrace)
	}
}

// drain begins a graceful end: GOAWAY takes what the peer has under way, and a
// PING tells when there can be no more of that.
func (s *Session) drain(why string) {
	if s.state != running || s.core.Err() != nil {
		return
	}
	if s.line != nil { // servers open no streams: nothing is under way
		s.quit()
		s.core.GoAway(0, h2.NoError, why)
		return
	}
	s.state = draining
	s.tally.drained++
	now := s.link.Now()
	c := &s.care
	c.finalBy, c.graceTo = now.Add(drainWait), timer.Never
	if d := s.own.cfg.AgeGrace; d > 0 {
		c.graceTo = now.Add(d)
	}
	s.core.GoAway(h2.MaxID, h2.NoError, why)
	s.core.Ping(drainPing)
	s.arm(now)
}

// lastGoAway names the last stream that is served.
func (s *Session) lastGoAway() {
	if s.state == draining && !s.care.final {
		s.care.final = true
		s.core.GoAway(s.core.LastID(), h2.NoError, "")
	}
}

// Ping is a PING of the peer's, or the answer to one of ours.
func (k *sink) Ping(data [8]byte, ack bool) {
	s := (*Session)(k)
	switch {
	case !ack:
		s.judgePing()
	case data == drainPing:
		s.lastGoAway()
	case data == flowPing:
		s.measured(timer.Now())
	}
}

// judgePing counts PINGs that come too often, by the rules of grpc's keepalive:
// what we send forgives those before it.
func (s *Session) judgePing() {
	c, e := &s.care, &s.own.cfg.Enforce
	now, before := s.link.Now(), s.care.pingAt
	c.pingAt = now
	if c.spoke {
		c.spoke, c.strikes = false, 0
		return
	}
	least := e.MinTime
	if s.core.Len() == 0 && !e.WithoutStream && e.MinTime > 0 {
		least = idlePing
	}
	if before == 0 || now.Sub(before) >= least {
		return
	}
	if c.strikes++; c.strikes > e.Strikes {
		s.tally.pings++
		s.fail(h2.EnhanceYourCalm, "too_many_pings")
	}
}
