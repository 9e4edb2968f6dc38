package stream

import (
	"sync"
	"sync/atomic"
)

// inbox is what other goroutines leave for a session's loop: commands for its
// streams, in order. It is bounded by what the streams may have in it: messages
// up to their SendLimit, and a constant number of others.
//
//	Send ─► put ─► commands ─┐ awake: the loop looks before it leaves
//	                         └─► Poke ─► Session.Poked ─► takeInbox
type inbox struct {
	awake atomic.Bool // the loop is between begin and flush
	some  atomic.Bool // commands wait, to look without the lock

	spare  []command // the loop's: an empty list for the next swap
	taking bool      // the loop's: commands are being done

	mu       sync.Mutex
	commands []command
	closed   bool
}

type op uint8

const (
	opSend   op = iota // ref: *Buffer, sealed and counted
	opFinish           // ref: *Status
	opCancel
	opHeader     // ref: Metadata
	opSendHeader // ref: Metadata
	opTrailer    // ref: Metadata
	opCredit     // a receiver or a sender has found the other side of a limit
	opReturn     // ref: *detachment, nil if there was none; a Go method has returned
	opPost       // ref: func(*Stream)

	// Of a client.
	opOpen      // the stream is to be opened on this session
	opCloseSend //
	opLeft      // nothing of the stream is in this inbox any more
)

type command struct {
	st  *Stream
	ref any
	op  op
}

// put leaves a command; false when the session is gone. Any goroutine.
func (s *Session) put(c command) bool {
	b := &s.inbox
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return false
	}
	b.commands = append(b.commands, c)
	first := len(b.commands) == 1
	if first {
		b.some.Store(true)
	}
	b.mu.Unlock()
	if first && !b.awake.Load() {
		s.link.Poke()
	}
	return true
}

// takeInbox does what was left so far. Commands may lead to callbacks, which
// leave more: those are done in the same flush up to a few times, so that a
// stream that posts to itself does not hold the loop. Inside a command it does
// nothing: what came later must not overtake the rest.
func (s *Session) takeInbox() {
	b := &s.inbox
	for i := 0; i < 4 && !b.taking && b.some.Load(); i++ {
		b.mu.Lock()
		commands := b.commands
		b.commands, b.spare = b.spare, nil
		b.some.Store(false)
		b.mu.Unlock()
		b.taking = true
		s.drainFirst()
		for i := range commands {
			c := commands[i]
			commands[i] = command{}
			switch {
			case c.op == opOpen:
				s.admit(c.st.out())
			case c.st.sess != s: // it has left for another one
				c.st.out().stray(s, c)
			default:
				c.st.obey(c)
			}
		}
		b.taking = false
		if cap(commands) <= 1024 {
			b.spare = commands[:0]
		}
	}
}

// drainFirst does a Drain that was asked for before the commands were left: who ends
// streams because a session drains has the peer hear of the session first. Clients
// that watch a server's health take the end of that stream for a failure of the
// server, unless they know that they should connect anew.
func (s *Session) drainFirst() {
	if s.wish.Load()&wishDrain != 0 && s.state != gone {
		s.wish.And(^wishDrain)
		s.drain("")
	}
}

// sleep ends awake. What came between the last look and here is asked for.
func (b *inbox) sleep(l Link) {
	b.awake.Store(false)
	if b.some.Load() {
		l.Poke()
	}
}

// closeInbox drops what is there and takes no more.
func (s *Session) closeInbox() {
	b := &s.inbox
	b.mu.Lock()
	commands := b.commands
	b.commands, b.spare, b.closed = nil, nil, true
	b.some.Store(false)
	b.mu.Unlock()
	for _, c := range commands {
		switch {
		case c.op == opOpen:
			c.st.out().bounced()
		case c.st.sess != s:
			c.st.out().stray(s, c)
		default:
			c.drop()
		}
	}
}

// drop is a command that nobody does any more.
func (c *command) drop() {
	switch c.op {
	case opSend:
		c.st.unqueue(c.ref.(*Buffer))
	case opReturn:
		c.st.abandoned(c.ref.(*detachment))
	}
}
