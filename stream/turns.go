package stream

import (
	"time"

	"github.com/weir-go/weir/timer"
)

// growing are a session's messages that are not complete. They hold bytes that
// nobody can let go of before the rest has come, so they take turns:
//
//	         ┌──── brings nothing, and others wait ─────┐
//	         ▼                                          │
//	begun ─► wait: the stream's window stays ─► turn: it is opened ─► complete
//	         ▲ │                                        │
//	         │ └─► held up by its own side, ◄───────────┘
//	         └──── Pause or a slow receiver: not in line
//
// Those whose turn it is have announced no more than half of what the session
// may hold, or there is one alone; the others hold what their windows had let
// through, and end when that is more than the other half.
type growing struct {
	bytes    int64 // of storage, of all
	parked   int64 // of those without a turn
	promised int64 // lengths of those whose turn it is
	turns    int   // their number

	wait, have row        // in line, and those whose turn it is
	look       timer.Time // when turns are looked at; 0: nobody waits
}

// turnTime is how long a message may bring nothing when it has its turn and
// others wait: that, or twice as long.
const turnTime = 5 * time.Second

// turnOf is how a message that is not complete stands.
type turnOf uint8

const (
	noTurn    turnOf = iota // complete at once, or without storage yet
	heldUp                  // its stream takes nothing for now
	awaitTurn               // in line; its stream's window is not opened
	haveTurn
)

// row is a list of messages, by inflow.prev and next.
type row struct{ first, last *inflow }

func (r *row) push(in *inflow) {
	if in.prev = r.last; in.prev == nil {
		r.first = in
	} else {
		in.prev.next = in
	}
	r.last = in
}

func (r *row) remove(in *inflow) {
	if in.prev == nil {
		r.first = in.next
	} else {
		in.prev.next = in.next
	}
	if in.next == nil {
		r.last = in.prev
	} else {
		in.next.prev = in.prev
	}
	in.prev, in.next = nil, nil
}

// fits reports whether a message of n bytes may have its turn now.
func (s *Session) fits(n int) bool {
	return s.growing.turns == 0 || s.growing.promised+int64(n) <= s.allowance()/2
}

// enroll gives a message that has begun its turn, or lets it wait.
func (s *Session) enroll(in *inflow) {
	s.growing.parked += int64(in.asm.Held())
	in.turn = heldUp
	if in.st.flags&(paused|starved) == 0 {
		s.lineUp(in)
	}
}

// lineUp puts a message that was held up in line.
func (s *Session) lineUp(in *inflow) {
	g := &s.growing
	in.turn = awaitTurn
	g.wait.push(in)
	s.giveTurns()
	if g.wait.first != nil && g.look == 0 {
		now := s.link.Now()
		g.look = now.Add(turnTime)
		s.arm(now)
	}
}

// giveTurns gives those that are first in line their turns, as far as there is
// room.
func (s *Session) giveTurns() {
	g := &s.growing
	for in := g.wait.first; in != nil && s.fits(in.asm.Size()); in = g.wait.first {
		s.park(in, -1)
		g.wait.remove(in)
		g.have.push(in)
		g.turns++
		g.promised += int64(in.asm.Size())
		in.turn, in.moved = haveTurn, true
		in.st.credit()
	}
	if g.wait.first == nil {
		g.look = 0
	}
}

// endTurn takes a message's turn, or its place in line.
func (s *Session) endTurn(in *inflow) {
	g := &s.growing
	switch in.turn {
	case heldUp:
		s.park(in, -1)
	case awaitTurn:
		s.park(in, -1)
		g.wait.remove(in)
	case haveTurn:
		g.have.remove(in)
		g.turns--
		g.promised -= int64(in.asm.Size())
	}
	in.turn = noTurn
}

// park counts what a message without a turn holds, with -1 no more.
func (s *Session) park(in *inflow, sign int64) { s.growing.parked += sign * int64(in.asm.Held()) }

// holdUp takes a message whose stream takes nothing for now out of line; its
// turn goes to others.
func (s *Session) holdUp(in *inflow) {
	if in.turn != awaitTurn && in.turn != haveTurn {
		return
	}
	s.endTurn(in)
	in.turn = heldUp
	s.park(in, 1)
	s.begin()
	s.giveTurns()
	s.flush()
}

// lookAtTurns passes the turns of those on that have brought nothing since they
// were looked at last. When there is no room for what one of them holds, its
// stream ends.
func (s *Session) lookAtTurns(now timer.Time) {
	g := &s.growing
	if g.look == 0 || now < g.look {
		return
	}
	g.look = now.Add(turnTime)
	var idle []*inflow
	for in := g.have.first; in != nil; in = in.next {
		if !in.moved {
			idle = append(idle, in)
		}
		in.moved = false
	}
	for _, in := range idle {
		switch {
		case in.turn != haveTurn: // has ended with another
		case g.parked+int64(in.asm.Held()) > s.allowance()/2:
			in.st.badMessage(errCrowded)
		default:
			s.endTurn(in)
			in.turn = awaitTurn
			s.park(in, 1)
			g.wait.push(in)
		}
	}
	s.giveTurns()
}

// grew counts n more bytes of storage of a message, which is complete now or
// not; false when there is no room for what has no turn, and the message's
// stream must end.
func (s *Session) grew(in *inflow, n int, done bool) bool {
	g := &s.growing
	g.bytes += int64(n)
	s.holdIn(n)
	in.moved = true
	switch {
	case in.turn == heldUp || in.turn == awaitTurn:
		g.parked += int64(n)
	case in.turn == noTurn && n > 0 && !done:
		s.enroll(in)
	}
	return n == 0 || done || in.turn == haveTurn || g.parked <= s.allowance()/2
}

// grown takes off a message that is complete or dropped; others have their turn
// for it.
func (s *Session) grown(in *inflow) {
	n := in.asm.Held()
	s.growing.bytes -= int64(n)
	s.holdIn(-n)
	s.endTurn(in)
	s.giveTurns()
}
