package stream

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/h2"
)

// Admission says whether there is room for more streams. A *bounds.Bounds is
// one. Its methods are called on all loops and must not wait: in Normal they
// should cost no more than a load.
//
//	HEADERS ─► find the method ─► budget ─► Admit ─► Open, Go
//	                                │         │
//	                                └─────────┴─► trailers only: a code, when to come back,
//	                                              what is short, and what to call meanwhile
type Admission interface {
	// Admit is asked before a stream begins; nothing is given back. An error
	// refuses it with Unavailable, or with the *Status that it is; a
	// *bounds.Refusal also says of what there is too little, and for how long.
	Admit() error

	// Verdict is what the process is short of at present. In bounds.Shed and
	// worse, sessions without streams are drained, in bounds.Critical and worse
	// streams that are idle end: see Config.Admit.
	Verdict() bounds.Verdict
}

var _ Admission = (*bounds.Bounds)(nil)

// Fields of trailers that say more about a refusal than its code does.
const (
	pushbackKey = "grpc-retry-pushback-ms" // when to try again; gRFC A6
	degradedKey = "weir-degraded"          // what there is too little of
	twinKey     = "weir-twin"              // what to call meanwhile: Method.Twin
)

// busyFor is when a client should come back for whom a limit of the server's own
// had no room: streams end all the time. And as much again, at random.
const busyFor = time.Second

// shortage is what a client is told besides a status.
type shortage struct {
	of   bounds.Resource
	back time.Duration
}

// tell puts it into the stream's trailers.
func (x shortage) tell(st *Stream) {
	a := st.answer()
	a.trailer = append(a.trailer, Pair{pushbackKey, strconv.FormatInt(x.back.Milliseconds(), 10)})
	// A resource has the name that somebody has given it.
	if p := (Pair{degradedKey, string(x.of)}); x.of != "" && validPair(p) {
		a.trailer = append(a.trailer, p)
	}
}

// begin finds the stream's method and starts it.
func (st *Stream) begin(timeout time.Duration, end bool) {
	s := st.sess
	if s.farewell {
		st.refuse(statusNoRoom, s.srv.shortBy(), ReasonFarewell)
		return
	}
	m, fault := s.srv.find(st.req.path)
	if fault != nil {
		st.finish(fault)
		return
	}
	st.method = m
	switch {
	case s.crowded() || s.fat > s.own.cfg.SessionBudget:
		s.tally.overBudget++
		st.refuse(statusCrowded, shortage{bounds.Memory, busyFor + rand.N(busyFor)}, ReasonBudget)
		return
	case timeout <= 0:
		st.finish(statusDeadline)
		return
	case !st.admit():
		return
	case timeout != never:
		st.setDeadline(timeout)
	}
	if s.own.look != 0 {
		st.watch()
	}
	switch {
	case m.Open != nil:
		st.openHandler()
	case m.Go != nil && !m.Await:
		st.startGo()
	}
	if end {
		st.peerDone()
	}
}

// admit asks for a stream, and refuses it if it has to; false then.
func (st *Stream) admit() bool {
	a, m := st.sess.own.cfg.Admit, st.method
	if a == nil || m.short() || m.Vital {
		return true
	}
	err := a.Admit()
	if err == nil {
		return true
	}
	x, status := shortage{back: busyFor + rand.N(busyFor)}, StatusOf(err)
	if r := (*bounds.Refusal)(nil); errors.As(err, &r) {
		x = shortage{r.Verdict.Resource, r.RetryAfter}
	}
	if status.Code == Unknown {
		status = &Status{Code: Unavailable, Message: err.Error()}
	}
	st.tellTwin()
	st.refuse(status, x, ReasonAdmission)
	return false
}

// short reports whether the method is a call of one request and one answer.
func (m *Method) short() bool { return m.Unary != nil || m.Brief }

func (st *Stream) tellTwin() {
	if twin := st.method.Twin; twin != "" {
		a := st.answer()
		a.trailer = append(a.trailer, Pair{twinKey, twin})
	}
}

// refuse ends a stream whose method has not begun.
func (st *Stream) refuse(status *Status, x shortage, why Reason) {
	s := st.sess
	x.tell(st)
	st.finish(status)
	s.own.count.reasons[why].Add(1)
	if t := s.own.cfg.Trace; t != nil && t.Refused != nil {
		t.Refused(s, st.req.path, why, status)
	}
}

// shortBy is what a client is told that has to go, or cannot come in.
func (s *Server) shortBy() shortage {
	x := shortage{of: bounds.Descriptors}
	if a := s.cfg.Admit; a != nil {
		if v := a.Verdict(); v.State != bounds.Normal {
			x = shortage{v.Resource, v.Back}
		}
	}
	x.back += busyFor + rand.N(max(x.back, busyFor))
	return x
}

// Farewell makes the handler of a connection for which there is no room: it is
// what conn.ListenConfig's Farewell takes next to a Listen with Serve. All calls
// of its client are refused with Unavailable and when to come back; then the
// session says GOAWAY and ends. One whose client calls nothing ends after a
// second. After Shutdown and Close it refuses, as Serve does.
//
// A GOAWAY alone would not do: clients take it as "not looked at, try elsewhere"
// and connect again at once, grpc-go several thousand times a second. What is
// answered is answered: the caller is told Unavailable, and by whom.
//
// TLS has no farewell: its handshake costs more than is to be saved.
func (s *Server) Farewell(c *conn.Conn) conn.Handler {
	if sess := s.attach(c, true); sess != nil {
		return (*wire)(sess)
	}
	return nil
}

// farewellWait is how long a client may take for its first call when there is no
// room for it.
const farewellWait = time.Second

// statusNoRoom is what those calls end with.
var statusNoRoom = &Status{Code: Unavailable, Message: "the server has no room for another connection"}

// turnAway ends a session whose client was told.
func (s *Session) turnAway() {
	if s.state != running || s.core.Err() != nil {
		return
	}
	s.state = draining
	s.care.final, s.care.graceTo = true, s.link.Now().Add(farewellWait)
	s.core.GoAway(s.core.LastID(), h2.NoError, statusNoRoom.Message)
	s.arm(s.link.Now())
}
