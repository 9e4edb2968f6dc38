package h2

// close takes a stream out of the table. Whoever called for it tells the sink.
func (c *Core[O]) close(st *Stream[O], f fate) {
	c.table.remove(st)
	c.past.add(st.id, f)
	st.state = Closed
	if c.data == st {
		c.ConsumeConn(int(c.dataRest)) // the rest of its DATA frame is dropped
		c.skip += c.dataRest
		c.data, c.dataRest = nil, 0
	}
	c.uncount(st)
}

// uncount takes a stream off the count of those at once, if it has ended and
// its owner has let go of it.
func (c *Core[O]) uncount(st *Stream[O]) {
	if st.state == Closed && st.marks&(counted|held) == counted {
		st.marks &^= counted
		c.active--
	}
}

// Release says that the handler of a stream has let go of it: from then on, if
// the stream has ended, it no longer counts against Config.MaxStreams. Each
// stream that was accepted is released once; releasing again does nothing.
func (c *Core[O]) Release(st *Stream[O]) {
	st.marks &^= held
	c.uncount(st)
}

// CanOpen returns why Open would fail, nil if it would not: ErrStreams when the
// peer's MAX_CONCURRENT_STREAMS are open, ErrGoAway after a GOAWAY or the
// connection's end, ErrIDs when no identifier is left. It is asked before the
// header block is encoded: a block that an Encoder wrote must be sent.
func (c *Core[O]) CanOpen() error {
	switch {
	case c.left || c.err != nil:
		return ErrGoAway
	case c.nextID > maxID:
		return ErrIDs
	case c.active >= c.peer.MaxStreams:
		return ErrStreams
	}
	return nil
}

// Open opens a stream from the client: it gets the next identifier, and its
// header block goes to Out. The caller has set its Owner. The error is
// CanOpen's.
func (c *Core[O]) Open(st *Stream[O], block []byte, end bool) error {
	if err := c.CanOpen(); err != nil {
		return err
	}
	*st = Stream[O]{Owner: st.Owner, id: c.nextID, state: Open, remain: -1, marks: counted}
	c.nextID += 2
	c.active++
	c.table.add(st)
	c.SendHeaders(st, block, end)
	return nil
}

// SendHeaders puts a header block out: the response's header or trailers (end).
// On a stream where nothing may be sent any more it does nothing.
func (c *Core[O]) SendHeaders(st *Stream[O], block []byte, end bool) {
	if st.LocalDone() || st.state == Idle {
		return
	}
	if c.tableCut {
		c.tableCut, c.tableOff = false, true
		block = append([]byte{0x20}, block...) // a table of no bytes, RFC 7541, section 6.3
	}
	c.Out = AppendHeaders(c.Out, st.id, block, end, int(c.peer.MaxFrame))
	st.marks |= answered
	c.pings.reset()
	if end {
		c.endLocal(st)
	}
}

func (c *Core[O]) endLocal(st *Stream[O]) {
	if st.localEnd() {
		c.close(st, ended)
	}
}

// sendable is a stream's send window, which may be negative (section 6.9.2).
func (c *Core[O]) sendable(st *Stream[O]) int64 {
	return int64(c.peer.InitialWindow) + int64(st.sendGain)
}

// Quota returns how many bytes of DATA may leave on a stream in one frame now;
// 0 or less: none.
func (c *Core[O]) Quota(st *Stream[O]) int {
	if st.LocalDone() {
		return 0
	}
	return int(min(c.sendable(st), int64(c.sendWindow), int64(c.peer.MaxFrame)))
}

// ConnQuota returns how many bytes of DATA the connection's window lets out.
func (c *Core[O]) ConnQuota() int { return int(c.sendWindow) }

// SendData puts a DATA frame out. len(p) is at most Quota; an empty frame with
// end needs none.
func (c *Core[O]) SendData(st *Stream[O], p []byte, end bool) {
	if st.LocalDone() || st.state == Idle {
		return
	}
	c.Out = AppendData(c.Out, st.id, p, end)
	c.spend(st, len(p), end)
}

// SendDataHeader puts the header of a DATA frame out, whose n bytes the owner
// appends to Out or sends right behind it. n is at most Quota.
func (c *Core[O]) SendDataHeader(st *Stream[O], n int, end bool) {
	c.Out = AppendDataHeader(c.Out, st.id, n, end)
	c.spend(st, n, end)
}

// spend takes n sent bytes off the windows.
func (c *Core[O]) spend(st *Stream[O], n int, end bool) {
	st.sendGain -= int32(n)
	c.sendWindow -= int32(n)
	c.pings.reset()
	// DATA earns the peer its two WINDOW_UPDATEs, unless it is a crumb that
	// was all the window had room for.
	if n >= smallUpdate || c.sendWindow > 0 && c.sendable(st) > 0 {
		c.chores.give(c.limits.chores)
		c.chores.give(c.limits.chores)
	}
	if end {
		c.endLocal(st)
	}
}

// Reset puts RST_STREAM out and closes the stream; what the peer has sent on it
// and is still under way is dropped. The sink is not told. On a closed stream it
// does nothing.
func (c *Core[O]) Reset(st *Stream[O], code Code) {
	if st.state == Idle || st.state == Closed {
		return
	}
	c.Out = AppendRSTStream(c.Out, st.id, code)
	c.close(st, resetOut)
}

// Ping puts a PING out; Sink.Ping is told of the answer.
func (c *Core[O]) Ping(data [8]byte) { c.Out = AppendPing(c.Out, false, data) }

// GoAway puts GOAWAY out: streams of the peer above last are ignored from here
// on. A graceful end says MaxID first, so that what is under way is served, and
// LastID a round trip later.
func (c *Core[O]) GoAway(last uint32, code Code, debug string) {
	c.lastTaken = min(c.lastTaken, last)
	c.Out = AppendGoAway(c.Out, c.lastTaken, code, debug)
}

// MaxID is the highest identifier there is, for GoAway.
const MaxID = maxID
