package stream

import (
	"errors"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/h2"
)

// turnSize is how many bytes of one stream leave before the others have their
// turn, at most. Messages that are smaller share a frame.
const turnSize = 16 << 10

// depart sends a stream's end, or leaves that until the link takes more: no end
// is framed for a peer that does not read. Until then the stream counts.
func (s *Session) depart(st *Stream) {
	switch {
	case s.open():
		st.conclude()
	case st.flags&queuedUp == 0: // otherwise its turn comes
		s.ends.push(st)
	}
}

// open reports whether more may be framed now; output that has grown large is
// sent first.
func (s *Session) open() bool {
	if len(s.core.Out) >= scratchSize {
		s.spill()
	}
	return !s.blocked && s.state < closing
}

// pump gives each stream that has something to send a turn, and another, as far
// as link and windows allow. Handlers that waited for room are told behind it:
// what they send has its turns too.
func (s *Session) pump() {
	for range 8 {
		for s.ends.head != nil && s.open() {
			if st := s.ends.pop(); st.flags&ended == 0 {
				st.conclude()
			}
		}
		for s.run.head != nil && !s.full && s.open() {
			s.turn(s.run.pop())
		}
		if len(s.told) == 0 {
			return
		}
		told := s.told
		s.told = nil
		for i, st := range told {
			told[i] = nil
			st.tellDrained()
		}
		if s.told == nil {
			s.told = told[:0]
		}
		s.takeInbox()
	}
}

// turn sends one frame of a stream, or lets its source push.
func (s *Session) turn(st *Stream) {
	switch {
	case st.flags&ended != 0:
		return
	case st.head != nil:
		if !s.sendQueue(st) {
			return
		}
		if st.flags&ended == 0 && (st.head != nil || st.flags&wanting != 0) {
			s.join(st)
			return
		}
	case st.flags&wanting != 0:
		// What it pushes it has queued, and if it wants another pull it has
		// said so: want knows whether that is a matter of a window.
		st.flags &^= wanting
		if st.subs != nil {
			st.subs.pull(st)
		}
	}
	if st.head == nil {
		st.queueSent()
	}
}

// queueSent does what was to follow when the queue is empty.
func (st *Stream) queueSent() {
	switch {
	case st.flags&ended != 0:
	case st.flags&finishing != 0:
		st.conclude()
	case st.flags&(sendDone|sendEnded) == sendDone:
		st.halfClose()
	}
}

// sendQueue frames what one turn may take of a stream's queue; false when a
// window is closed. The stream goes on when it opens.
func (s *Session) sendQueue(st *Stream) bool {
	q := min(s.core.Quota(&st.h), turnSize)
	if q <= 0 {
		if s.core.ConnQuota() <= 0 {
			s.setFull(true)
			s.joinFirst(st)
		} else {
			st.flags |= stalled
		}
		return false
	}
	st.sendHeader()
	if p := st.head.piece(); p != nil && len(p.Bytes()) <= q {
		s.sendPiece(st, p)
	} else {
		s.sendBytes(st, q)
	}
	st.roomy()
	return true
}

// sendBytes packs up to q bytes of the queue into a frame.
func (s *Session) sendBytes(st *Stream, q int) {
	n, b := 0, st.head
	for ; b != nil && n < q; b = b.next {
		n += b.unsent()
	}
	end := b == nil && n <= q && st.flags&sendDone != 0 // and not where a message ends with the quota
	n = min(n, q)
	st.flags |= went
	s.core.SendDataHeader(&st.h, n, end)
	if end {
		st.flags |= sendEnded
	}
	s.care.spoke = true
	for n > 0 {
		b := st.head
		k := min(n, b.unsent())
		s.core.Out = b.take(s.core.Out, k)
		n -= k
		if b.unsent() == 0 {
			st.sentHead()
		}
	}
}

// sendPiece sends a part of a shared message without copying it.
func (s *Session) sendPiece(st *Stream, p *conn.Shared) {
	n := len(p.Bytes())
	st.flags |= went
	s.core.SendDataHeader(&st.h, n, false)
	s.care.spoke = true
	s.spill()
	if s.blocked || s.link.AppendShared(p) != nil {
		s.core.Out = append(s.core.Out, p.Bytes()...) // it comes behind what could not leave
	} else {
		s.unread.written += int64(n)
	}
	if st.head.at += n; st.head.unsent() == 0 {
		st.sentHead()
	}
}

// piece returns the part of a shared message that is next, if it can be sent
// without a copy.
func (b *Buffer) piece() *conn.Shared {
	if b.msg == nil {
		return nil
	}
	return b.msg.piece(b.at)
}

// sentHead takes the first of the queue off, which has been sent.
func (st *Stream) sentHead() {
	b := st.head
	if st.head = b.next; st.head == nil {
		st.tail = nil
	}
	b.next = nil
	if !b.plain {
		st.sess.tally.sent++
	}
	if o := st.out(); o != nil && !o.sure {
		o.keep(b)
		return
	}
	st.unqueue(b)
}

// enqueue puts a sealed and counted message at the end of the queue.
func (st *Stream) enqueue(b *Buffer) {
	if st.flags&(ended|finishing) != 0 {
		st.unqueue(b)
		return
	}
	if st.tail == nil {
		st.head = b
	} else {
		st.tail.next = b
	}
	st.tail = b
	if st.flags&stalled == 0 {
		st.sess.join(st)
	}
}

// dropQueue forgets what is queued.
func (st *Stream) dropQueue() {
	for b := st.head; b != nil; {
		next := b.next
		b.next = nil
		st.unqueue(b)
		b = next
	}
	st.head, st.tail = nil, nil
}

// Emit is Send for callbacks: m is framed at once when nothing is queued before
// it, without storage of its own. Loop only.
func (st *Stream) Emit(m []byte) error {
	s := st.sess
	if o := st.out(); o != nil && o.at.Load() == o.client.limbo {
		return st.Send(m) // not open yet
	}
	switch {
	case st.marks.Load()&(markFinished|markEnded) != 0:
		return ErrClosed
	case len(m) > st.method.MaxSend:
		return st.tooLargeToSend(len(m))
	}
	s.begin()
	if s.inbox.some.Load() {
		if s.inbox.taking { // what was sent before must not be overtaken
			err := st.Send(m)
			s.flush()
			return err
		}
		s.takeInbox()
	}
	err := st.emit(m)
	s.flush()
	return err
}

// emit is Emit between begin and flush.
func (st *Stream) emit(m []byte) error {
	s := st.sess
	n := h2.PrefixLen + len(m)
	if st.head == nil && n <= turnSize && s.open() && n <= s.core.Quota(&st.h) &&
		st.flags&(ended|finishing) == 0 && st.direct() {
		st.sendHeader()
		st.flags |= went
		s.core.SendDataHeader(&st.h, n, false)
		s.core.Out = append(h2.AppendPrefix(s.core.Out, false, len(m)), m...)
		s.care.spoke = true
		s.tally.sent++
		return nil
	}
	switch {
	case st.flags&(ended|finishing) != 0:
		return ErrClosed
	case st.congested():
		return st.refuseFull()
	}
	b, err := st.pack(copied(m, false))
	if err != nil {
		return err
	}
	st.marks.Or(markHeader)
	st.count(b)
	st.enqueue(b)
	return nil
}

// push frames a shared message now, or not at all. One that is larger than a
// frame, or than what is left of a window, is queued by reference and goes out
// by and by.
func (st *Stream) push(m *Message) bool {
	s := st.sess
	if st.head != nil || st.flags&(ended|finishing) != 0 || !s.open() {
		return false
	}
	q := s.core.Quota(&st.h)
	if q <= 0 {
		return false
	}
	p := m.framed()
	if len(p) <= min(q, shareMin) {
		st.sendHeader()
		st.flags |= went
		s.core.SendDataHeader(&st.h, len(p), false)
		s.core.Out = append(s.core.Out, p...)
		s.care.spoke = true
		s.tally.sent++
		return true
	}
	m.Retain()
	b := buffers.Get().(*Buffer)
	b.msg = m
	st.count(b)
	st.enqueue(b)
	return true
}

// want asks for a pull when push may succeed.
func (st *Stream) want() {
	s := st.sess
	if st.flags&(ended|finishing) != 0 {
		return
	}
	st.flags |= wanting
	switch {
	case st.head != nil: // comes when that has been sent
	case s.core.ConnQuota() <= 0:
		s.setFull(true)
		s.join(st)
	case s.core.Quota(&st.h) <= 0:
		st.flags |= stalled
	default:
		s.join(st)
	}
}

func (st *Stream) session() *Session { return st.sess }

// spill gives the link what has been framed.
func (s *Session) spill() {
	if p := s.core.Out; len(p) > 0 {
		s.core.Out = p[:0]
		s.write(p)
	}
}

// write gives p to the link, behind what it has refused before.
func (s *Session) write(p []byte) {
	if s.state == gone {
		return
	}
	if len(s.rest) > 0 {
		s.rest = append(s.rest, p...)
		return
	}
	n, err := s.link.Write(p)
	s.unread.written += int64(n)
	switch {
	case n == len(p):
		s.blocked = s.link.Room() <= 0
	case errors.Is(err, conn.ErrFull):
		s.blocked = true
		s.rest = append(s.rest, p[n:]...)
	case errors.Is(err, conn.ErrBudget):
		s.tally.failed++
		s.link.CloseWith(err)
		s.blocked = true
	default:
		s.blocked = true // the connection has ended: Lost follows
	}
}
