package h2

import "encoding/binary"

// smallUpdate is the increment below which a WINDOW_UPDATE is a chore: a peer
// that opens a window byte by byte makes us send ten bytes for each.
const smallUpdate = 256

// idle reports whether no stream of this identifier was ever open.
func (c *Core[O]) idle(id uint32) bool {
	if id&1 == 0 {
		return true // there is no push
	}
	if c.limits.Client {
		return id >= c.nextID
	}
	return id > c.lastID
}

// streamError ends an open stream for an error of the peer's.
func (c *Core[O]) streamError(st *Stream[O], code Code, why string) {
	c.close(st, resetOut)
	c.refuse(st.id, code)
	c.sink.Reset(st, code, false, why)
}

// streamErrorID is streamError for a stream that is not open. On an idle one
// RST_STREAM may not be sent; the connection has failed then.
func (c *Core[O]) streamErrorID(id uint32, code Code, section, reason string) {
	switch st := c.table.find(id); {
	case st != nil:
		c.streamError(st, code, reason)
	case c.idle(id):
		c.fail(code, section, reason)
	default:
		c.refuse(id, code)
	}
}

// refuse sends RST_STREAM for something the peer did, which it cannot do as
// often as it likes: each time it has cost us more than it.
func (c *Core[O]) refuse(id uint32, code Code) {
	c.Out = AppendRSTStream(c.Out, id, code)
	c.replies += HeaderLen + rstLen
	c.countReset()
}

func (c *Core[O]) countReset() {
	if !c.resets.take(c.now, c.limits.resets) {
		c.fail(EnhanceYourCalm, "", "too many streams reset")
	}
}

// priorityFrame checks what section 6.3 asks for and ignores the rest, as
// section 5.3.2 allows. That a stream may not depend on itself is from RFC 7540,
// section 5.3.1.
func (c *Core[O]) priorityFrame(h Header, p []byte) {
	switch {
	case h.Stream == 0:
		c.fail(ProtocolError, "6.3", "PRIORITY on stream 0")
	case len(p) != priorityLen:
		c.streamErrorID(h.Stream, FrameSizeError, "6.3", "PRIORITY of a wrong size")
	case binary.BigEndian.Uint32(p)&idMask == h.Stream:
		c.streamErrorID(h.Stream, ProtocolError, "5.3.1 of RFC 7540", "a stream depends on itself")
	default:
		c.chore()
	}
}

func (c *Core[O]) rstStreamFrame(h Header, p []byte) {
	switch {
	case h.Stream == 0:
		c.fail(ProtocolError, "6.4", "RST_STREAM on stream 0")
		return
	case len(p) != rstLen:
		c.fail(FrameSizeError, "6.4", "RST_STREAM of a wrong size")
		return
	case c.idle(h.Stream):
		c.fail(ProtocolError, "6.4", "RST_STREAM on an idle stream")
		return
	}
	st := c.table.find(h.Stream)
	if st == nil {
		c.chore()
		return
	}
	c.close(st, resetIn)
	if !c.limits.Client && !st.Answered() {
		c.countReset()
	}
	c.sink.Reset(st, Code(binary.BigEndian.Uint32(p)), true, "")
}

func (c *Core[O]) settingsFrame(h Header, p []byte) {
	switch {
	case h.Stream != 0:
		c.fail(ProtocolError, "6.5", "SETTINGS on a stream")
	case h.Flags.Has(FlagAck) && len(p) != 0:
		c.fail(FrameSizeError, "6.5", "SETTINGS acknowledged with a payload")
	case h.Flags.Has(FlagAck) && c.unacked == 0:
		c.fail(ProtocolError, "6.5.3", "SETTINGS acknowledged that were not sent")
	case h.Flags.Has(FlagAck):
		c.unacked--
	case len(p)%settingLen != 0:
		c.fail(FrameSizeError, "6.5", "SETTINGS of a wrong size")
	case !c.settings.take(c.now, c.limits.settings):
		c.fail(EnhanceYourCalm, "", "too many SETTINGS")
	default:
		c.takeSettings(p)
	}
}

func (c *Core[O]) takeSettings(p []byte) {
	s := c.peer
	if err := s.read(p, c.limits.Client); err != nil {
		c.fail(err.Code, err.Section, err.Reason)
		return
	}
	if s.InitialWindow > c.peer.InitialWindow && c.overflows(s.InitialWindow) {
		c.fail(FlowControlError, "6.9.2", "INITIAL_WINDOW_SIZE makes a window too large")
		return
	}
	// A smaller table than the decoder has must be acknowledged in the next
	// header block, RFC 7541, section 4.2, even by those who use none.
	if s.HeaderTable < before.HeaderTable && !c.tableOff && !c.limits.Client {
		c.tableCut = true
	}
	c.begun = true
	c.sink.Settings(&s)
	more := s.InitialWindow > c.peer.InitialWindow
	c.peer = s
	c.Out = AppendSettingsAck(c.Out)
	c.replies += HeaderLen
	if more {
		c.sink.Window(nil)
	}
}

// overflows reports whether some stream's send window would be too large with
// this initial one. Streams are looked at only when it is possible.
func (c *Core[O]) overflows(initial uint32) bool {
	if int64(initial)+int64(c.maxGain) <= MaxWindow {
		return false
	}
	c.maxGain = 0
	for _, st := range c.table.slots {
		if st != nil {
			c.maxGain = max(c.maxGain, st.sendGain)
		}
	}
	return int64(initial)+int64(c.maxGain) > MaxWindow
}

func (c *Core[O]) pingFrame(h Header, p []byte) {
	switch {
	case h.Stream != 0:
		c.fail(ProtocolError, "6.7", "PING on a stream")
		return
	case len(p) != pingLen:
		c.fail(FrameSizeError, "6.7", "PING of a wrong size")
		return
	case !c.pings.take(c.now, c.limits.pings):
		c.fail(EnhanceYourCalm, "", "too many PINGs")
		return
	}
	data, ack := [8]byte(p), h.Flags.Has(FlagAck)
	if !ack {
		c.Out = AppendPing(c.Out, true, data)
		c.replies += HeaderLen + pingLen
	}
	c.sink.Ping(data, ack)
}

func (c *Core[O]) goAwayFrame(h Header, p []byte) {
	switch {
	case h.Stream != 0:
		c.fail(ProtocolError, "6.8", "GOAWAY on a stream")
	case len(p) < goAwayLen:
		c.fail(FrameSizeError, "6.8", "GOAWAY of a wrong size")
	case c.chore():
		c.left = true
		last, code := binary.BigEndian.Uint32(p)&idMask, binary.BigEndian.Uint32(p[4:])
		c.sink.GoAway(last, Code(code), p[goAwayLen:])
	}
}

func (c *Core[O]) windowUpdateFrame(h Header, p []byte) {
	if len(p) != rstLen {
		c.fail(FrameSizeError, "6.9", "WINDOW_UPDATE of a wrong size")
		return
	}
	n := binary.BigEndian.Uint32(p) & MaxWindow
	switch {
	case n == 0 && h.Stream == 0:
		c.fail(ProtocolError, "6.9", "WINDOW_UPDATE by nothing")
	case h.Stream != 0 && c.idle(h.Stream):
		c.fail(ProtocolError, "5.1", "WINDOW_UPDATE on an idle stream")
	case n < smallUpdate && !c.chore():
	case h.Stream == 0:
		c.openConnWindow(n)
	default:
		c.openWindow(c.table.find(h.Stream), n)
	}
}

func (c *Core[O]) openConnWindow(n uint32) {
	if int64(c.sendWindow)+int64(n) > MaxWindow {
		c.fail(FlowControlError, "6.9.1", "WINDOW_UPDATE makes the connection's window too large")
		return
	}
	c.sendWindow += int32(n)
	c.sink.Window(nil)
}

func (c *Core[O]) openWindow(st *Stream[O], n uint32) {
	switch {
	case st == nil: // closed meanwhile
		if n >= smallUpdate { // otherwise it has been paid for
			c.chore()
		}
	case n == 0:
		c.streamError(st, ProtocolError, "WINDOW_UPDATE by nothing")
	case c.sendable(st)+int64(n) > MaxWindow:
		c.streamError(st, FlowControlError, "WINDOW_UPDATE makes the window too large")
	default:
		st.sendGain += int32(n)
		c.maxGain = max(c.maxGain, st.sendGain)
		c.sink.Window(st)
	}
}
