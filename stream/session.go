package stream

import (
	"fmt"
	"sync/atomic"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/h2"
	"github.com/weir-go/weir/timer"
)

// Session is one HTTP/2 connection and its streams. It is owned by the loop of
// its connection; other goroutines reach it by its inbox.
//
//	            SETTINGS        Shutdown, MaxAge, MaxIdle         no streams left
//	(preface) ───────────► open ─────────────────────────► draining ──────┐
//	    │                   │ error, limit                   │            ▼
//	    └───────────────────┴────────────────────────────────┴──► closing: flush ──► gone
//
// Whatever is done to a session on its loop is done between begin and flush:
// output gathers in a buffer of the lane and leaves in one write.
type Session struct {
	core h2.Core[*Stream]
	link Link
	own  *side
	srv  *Server // nil: a client's
	line *line   // nil: a server's
	lane *lane

	// Owned by the loop.
	depth    int       // of begin
	state    state     //
	blocked  bool      // the link takes no more: Drained follows
	full     bool      // the connection's send window is used up; see setFull
	revive   bool      // the peer has raised its initial window: stalled streams may go on
	rest     []byte    // framed, not accepted by the link yet
	unread   unread    // answers that the peer may not have read
	run      list      // streams with something to send, each once
	ends     list      // those with nothing left but their end, which the link has not taken
	dead     int       // ended in one of the two lists since they were swept, or more
	told     []*Stream // whose handlers wait for Drained, and are to be told
	last     *request  // of the stream before: most requests of a session are alike
	withheld int       // received bytes for which the connection's window was not opened yet
	growing  growing   // messages that are not complete
	fat      int64     // bytes of requests' headers that count
	farewell bool      // there is no room: all calls are refused
	tally    tally     // counted since the last flush
	care     care      // times: keepalive, age, idleness
	flow     flow      // estimate of bandwidth and delay

	// Shared.
	inbox  inbox
	held   atomic.Int64  // bytes of messages that wait
	heldIn atomic.Int64  // of them, those from the peer
	short  atomic.Bool   // withheld: tell the loop when held has fallen
	wish   atomic.Uint32 // what other goroutines ask for
	auth   any
}

type state uint8

const (
	running state = iota
	draining
	closing
	gone
)

// Wishes.
const (
	wishDrain uint32 = 1 << iota
	wishClose
	wishGiveWay
)

// ask leaves a wish for the loop. Any goroutine.
func (s *Session) ask(wish uint32) {
	s.wish.Or(wish)
	s.link.Poke()
}

// start greets the peer.
func (s *Session) start() {
	s.lane = enterLane(s.link.Runtime(), s.link.Loop())
	s.begin()
	if s.line != nil {
		s.core.Start(s.own.limits, (*caller)(s))
	} else {
		s.core.Start(s.own.limits, (*sink)(s))
	}
	s.watchOver()
	s.flush()
}

// begin comes before anything is done to the session, and lends it a buffer. It
// nests: only the outermost flush sends.
func (s *Session) begin() {
	if s.depth++; s.depth == 1 {
		s.core.Out = s.lane.lend()
		s.inbox.awake.Store(true)
	}
}

// flush ends what begin began: what others have left is done, everything that
// windows and link allow is framed, and the output leaves.
func (s *Session) flush() {
	if s.depth > 1 {
		s.depth--
		return
	}
	s.takeInbox()
	s.pump()
	s.spill()
	s.tend()
	s.lane.giveBack(s.core.Out)
	s.core.Out = nil
	s.depth = 0
	s.tally.publish(&s.own.count)
	s.inbox.sleep(s.link)
}

// Feed gives the session received bytes and returns how many it has consumed;
// the rest is shown again when more has come. An error means that the session
// is over: its Link is being closed. Loop only, for the owners of Links.
func (s *Session) Feed(p []byte) (n int, err error) {
	s.begin()
	s.care.heard = s.link.Now()
	n, err = s.core.Feed(int64(s.care.heard), p)
	if err == nil {
		s.unfinished(n, len(p))
	}
	if s.farewell && s.core.LastID() > 0 {
		s.turnAway()
	}
	s.flush()
	return n, err
}

// Poked does what other goroutines have left. Loop only, for the owners of
// Links; it follows Link.Poke.
func (s *Session) Poked() {
	s.begin()
	if s.state != gone {
		s.grant()
	}
	s.flush()
}

func (s *Session) grant() {
	wish := s.wish.Swap(0)
	if wish&wishGiveWay != 0 {
		s.giveWay(s.link.Now())
	}
	if wish&wishDrain != 0 {
		s.drain("")
	}
	if wish&wishClose != 0 {
		s.close(ErrClosed)
	}
}

// Drained says that the Link has room again after it had refused bytes. Loop
// only, for the owners of Links.
func (s *Session) Drained() {
	s.begin()
	s.blocked = false
	if rest := s.rest; len(rest) > 0 {
		s.rest = nil
		s.write(rest)
	}
	s.flush()
}

// Lost says that the connection has ended; it is the last call. Loop only, for
// the owners of Links.
func (s *Session) Lost(err error) {
	if s.state == gone {
		return
	}
	if s.depth > 0 { // a callback never returned
		s.depth = 0
	}
	s.begin()
	s.state = gone
	if s.line != nil {
		s.line.leave()
	}
	status := &Status{Code: Canceled, Message: lostMessage(err)}
	if s.line != nil {
		status = s.line.farewell(status.Message)
	}
	s.endStreams(status)
	s.core.Out = s.core.Out[:0]
	s.rest = nil
	s.link.StopTimer(&s.care.timer)
	s.closeInbox()
	s.flush()
	leaveLane(s.link.Runtime(), s.link.Loop())
	if s.line != nil {
		s.line.lost(err)
	} else {
		s.srv.left(s)
	}
}

func lostMessage(err error) string {
	if err == nil {
		return "the connection has been closed"
	}
	return "the connection has ended: " + err.Error()
}

// endStreams ends all streams with a status that nobody is sent.
func (s *Session) endStreams(status *Status) {
	for _, h := range s.core.Streams(nil) {
		h.Owner.ended(status)
	}
}

// fail ends the session for a reason of ours: GOAWAY, then the end.
func (s *Session) fail(code h2.Code, reason string) {
	s.core.Fail(code, reason)
}

// close ends the session without a word about its streams.
func (s *Session) close(cause error) {
	if s.state >= closing {
		return
	}
	s.state = closing
	if s.line != nil {
		s.line.leave()
	}
	s.endStreams(&Status{Code: Unavailable, Message: cause.Error()})
	s.spill()
	s.link.Close()
}

// tend looks after what the turn has done to the session as a whole.
func (s *Session) tend() {
	if s.state >= closing {
		return
	}
	if err := s.core.Err(); err != nil {
		s.tally.failed++
		s.close(fmt.Errorf("stream: session: %w", err))
		return
	}
	s.settleBudget()
	if s.core.Err() != nil {
		s.tend()
		return
	}
	if s.answersWait() {
		s.fail(h2.EnhanceYourCalm, "answers are not read")
		s.tend()
		return
	}
	if s.state == draining && s.care.final && s.core.Len() == 0 && len(s.rest) == 0 {
		s.close(ErrClosed)
	}
}

// unread follows the answers to control frames on their way out. Nobody tells
// when a certain byte has left, only how many have not; so what was put out
// before a mark has left when everything before the mark has.
type unread struct {
	written int64 // bytes that the link has accepted
	mark    int64 // a position among them, or to come
	older   int   // bytes of answers before it
}

// answersWait reports whether more answers wait to leave than may, or more
// output of whatever kind than a peer that reads could leave behind.
func (s *Session) answersWait() bool {
	u, cfg, pending := &s.unread, &s.own.cfg, int64(s.link.Pending())
	switch {
	case !s.blocked && pending == 0:
		s.core.ResetReplies()
		*u = unread{}
		return false
	case u.written-pending >= u.mark:
		u.mark, u.older = u.written+int64(len(s.rest)), s.core.Replies()
		s.core.ResetReplies()
	}
	if u.older+s.core.Replies() > cfg.ControlLimit {
		return true
	}
	// Besides answers, a server's streams leave RST_STREAM and headers behind.
	return s.srv != nil && len(s.rest) > restSize+cfg.ControlLimit+restEach*cfg.MaxStreams
}

const (
	restSize = 4 * scratchSize // what one flush may leave, with a frame and a header on top
	restEach = 64              // for each stream: RST_STREAM, a header
)

// Remote returns the peer's address, Local this end's.
func (s *Session) Remote() conn.Addr { return s.link.Remote() }

// Local returns the address of this end.
func (s *Session) Local() conn.Addr { return s.link.Local() }

// ID returns the connection's ID.
func (s *Session) ID() uint64 { return s.link.ID() }

// Loop returns the index of the loop that owns the session.
func (s *Session) Loop() int { return s.link.Loop() }

// Streams returns how many streams are open. Loop only.
func (s *Session) Streams() int { return s.core.Len() }

// Close ends the session and its streams. Any goroutine.
func (s *Session) Close() { s.ask(wishClose) }

// Drain takes no new streams, and ends the session when it has none. Any
// goroutine.
func (s *Session) Drain() { s.ask(wishDrain) }

// AuthInfo returns what SetAuth was given. Loop only, and Go methods.
func (s *Session) AuthInfo() any { return s.auth }

// SetAuth keeps what is known about the peer, such as a TLS state. Loop only,
// before the first Feed.
func (s *Session) SetAuth(info any) { s.auth = info }

// wire is a Session as the handler of a plain connection.
type wire Session

func (w *wire) Data(c *conn.Conn) error {
	s := (*Session)(w)
	if s.depth > 0 { // a callback never returned; Closed is to follow
		return ErrClosed
	}
	n, err := s.Feed(c.Peek())
	if err != nil {
		n = c.Buffered()
	}
	c.Discard(n)
	return nil // the session has closed c, so that GOAWAY is heard
}

func (w *wire) Closed(_ *conn.Conn, err error) { (*Session)(w).Lost(err) }
func (w *wire) Drained(*conn.Conn)             { (*Session)(w).Drained() }
func (w *wire) Poked(*conn.Conn)               { (*Session)(w).Poked() }
func (w *wire) Shutdown(*conn.Conn)            { (*Session)(w).Drain() }

var (
	_ conn.Handler         = (*wire)(nil)
	_ conn.Drainer         = (*wire)(nil)
	_ conn.Poker           = (*wire)(nil)
	_ conn.ShutdownHandler = (*wire)(nil)
	_ Link                 = (*conn.Conn)(nil)
	_ timer.Firer          = (*deadline)(nil)
)
