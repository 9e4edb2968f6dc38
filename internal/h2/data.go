package h2

// dataFrame handles the header of a DATA frame, and its padding's length;
// section 6.1. The payload follows step by step.
func (c *Core[O]) dataFrame(h Header, p []byte) (used int, ok bool) {
	if !c.acceptable(h) {
		return 0, false
	}
	used, n, pad := HeaderLen, h.Length, uint32(0)
	if h.Flags.Has(FlagPadded) {
		if pad, ok = c.padding(h, p); !ok {
			return 0, false
		}
		used++
		n -= pad + 1
	}
	if int32(h.Length) > c.recvWindow {
		c.fail(FlowControlError, "6.9.1", "more DATA than the connection's window")
		return 0, false
	}
	c.recvWindow -= int32(h.Length)
	end := h.Flags.Has(FlagEndStream)
	st := c.dataStream(h, n, end)
	if c.err != nil {
		return 0, false
	}
	if st == nil {
		c.ConsumeConn(int(h.Length)) // nobody else will
	} else if h.Length != n {
		c.ConsumeConn(int(h.Length - n))
		c.Consume(st, int(h.Length-n))
	}
	c.skip = pad
	switch {
	case n == 0 && (st == nil || !end):
		c.chore()
		return used, true
	case st == nil:
		c.skip += n
		return used, true
	}
	c.chores.give(c.limits.chores)
	p = p[used:]
	if len(p) < int(n) { // the rest follows
		c.data, c.dataRest, c.dataEnd = st, n, end
		return used, true
	}
	c.show(st, p[:n], end)
	return used + int(n), true
}

// padding reads the length of a DATA frame's padding; false when it has not come
// yet or cannot be.
func (c *Core[O]) padding(h Header, p []byte) (pad uint32, ok bool) {
	if h.Length == 0 {
		c.fail(ProtocolError, "6.1", "padding without a length")
		return 0, false
	}
	if len(p) == HeaderLen {
		return 0, false
	}
	if pad = uint32(p[HeaderLen]); pad >= h.Length {
		c.fail(ProtocolError, "6.1", "more padding than frame")
		return 0, false
	}
	return pad, true
}

// dataStream returns the stream that may have a DATA frame with n bytes of
// payload, nil when they are to be dropped.
func (c *Core[O]) dataStream(h Header, n uint32, end bool) *Stream[O] {
	st := c.table.find(h.Stream)
	switch {
	case st == nil:
		c.lateData(h.Stream)
	case st.RemoteDone():
		c.streamError(st, StreamClosed, "DATA after END_STREAM")
	case st.marks&received == 0:
		c.streamError(st, ProtocolError, "DATA before the response's header block")
	case c.overdraws(st, h.Length):
		c.streamError(st, FlowControlError, "more DATA than the stream's window")
	case st.remain >= 0 && (int64(n) > st.remain || end && int64(n) != st.remain):
		c.streamError(st, ProtocolError, "not as much DATA as content-length says")
	default:
		st.recvGain -= int32(h.Length)
		if st.remain >= 0 {
			st.remain -= int64(n)
		}
		return st
	}
	return nil
}

// overdraws reports whether n bytes are more than a stream's window. As long as
// our SETTINGS are not acknowledged the peer may go by the initial one, section
// 6.9.3, and owe us the difference.
func (c *Core[O]) overdraws(st *Stream[O], n uint32) bool {
	left := int64(c.window) + int64(st.recvGain) - int64(n)
	return left < 0 && (c.unacked == 0 || left < int64(c.window)-InitialWindow)
}

// lateData is DATA on a stream that is not open.
func (c *Core[O]) lateData(id uint32) {
	switch {
	case id == 0:
		c.fail(ProtocolError, "6.1", "DATA on stream 0")
	case c.idle(id):
		c.fail(ProtocolError, "5.1", "DATA on an idle stream")
	default:
		switch c.past.of(id) {
		case resetOut, unwanted, unknown: // sent before the peer knew, or too long ago to tell
		default:
			c.streamErrorID(id, StreamClosed, "5.1", "DATA on a closed stream")
		}
	}
}

// payload shows what p has of the DATA frame being received, and returns how
// much that was.
func (c *Core[O]) payload(p []byte) int {
	if len(p) > int(c.dataRest) {
		p = p[:c.dataRest]
	}
	c.dataRest -= uint32(len(p))
	st := c.data
	if c.dataRest == 0 {
		c.data = nil
	}
	c.show(st, p, c.dataEnd && c.dataRest == 0)
	return len(p)
}

// show gives DATA to the sink. The stream's state has moved on by then: the
// sink may answer and thereby close it.
func (c *Core[O]) show(st *Stream[O], p []byte, end bool) {
	if end && st.remoteEnd() {
		c.close(st, ended)
	}
	c.sink.Data(st, p, end)
}

// Consume says that the owner has room again for n bytes of DATA on the stream.
// The peer is told when half a window is owed.
func (c *Core[O]) Consume(st *Stream[O], n int) {
	if st.RemoteDone() {
		return
	}
	st.owed += int32(max(min(int64(n), -int64(st.recvGain)-int64(st.owed)), 0))
	if st.owed > 0 && st.owed >= c.window/2 {
		c.Out = AppendWindowUpdate(c.Out, st.id, uint32(st.owed))
		st.recvGain += st.owed
		st.owed = 0
	}
}

// Widen says that the owner has room for all that came on the stream, and for
// target bytes more: 0, or less than what new streams have, is as many as those
// have. The peer is told when half of that is missing; a stream that has not had
// more than new streams have must also have used half of that, unless now. What
// was granted is not taken back.
func (c *Core[O]) Widen(st *Stream[O], target int32, now bool) {
	if st.RemoteDone() {
		return
	}
	target = max(target, c.window)
	lack := int32(min(int64(target)-int64(c.window)-int64(st.recvGain), MaxWindow)) // it may be overdrawn
	switch {
	case lack <= 0 || lack < target/2:
		return
	case st.marks&wide == 0 && !now && -st.recvGain < c.window/2:
		return
	case target > c.window:
		st.marks |= wide
	}
	c.Out = AppendWindowUpdate(c.Out, st.id, uint32(lack))
	st.recvGain += lack
	st.owed = 0
}

// ConsumeConn does the same as Consume for the connection's window. An owner that
// holds more than it wants to withholds it, and so slows down all streams
// together.
func (c *Core[O]) ConsumeConn(n int) {
	c.recvOwed += int32(min(int64(n), int64(c.connTarget)-int64(c.recvWindow)-int64(c.recvOwed)))
	if c.recvOwed >= c.connTarget/2 {
		c.announce()
	}
}

// announce tells the peer about what is owed of the connection's window.
func (c *Core[O]) announce() {
	if c.recvOwed > 0 && c.err == nil {
		c.Out = AppendWindowUpdate(c.Out, 0, uint32(c.recvOwed))
		c.recvWindow += c.recvOwed
		c.recvOwed = 0
	}
}

// RaiseConn raises the window that we grant to the connection, to fill a path of
// greater bandwidth and delay. It is not lowered: a smaller value does nothing.
func (c *Core[O]) RaiseConn(conn int32) {
	if conn > c.connTarget {
		c.recvOwed += conn - c.connTarget
		c.connTarget = conn
		c.announce()
	}
}
