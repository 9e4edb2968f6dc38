package h2

// request is a new stream's header block, on the server.
func (c *Core[O]) request(b *headerBlock) {
	b.checkRequest()
	switch {
	case b.bad != "":
		c.spoiled(b.id, nil, ProtocolError, b.bad)
		return
	case c.active >= c.limits.MaxStreams:
		c.spoiled(b.id, nil, RefusedStream, "too many streams")
		return
	}
	c.chores.give(c.limits.chores)
	c.block = b // for Accept
	c.sink.Request(&b.Block, b.end)
	if c.block == b { // neither accepted nor the connection's end
		c.block = nil
		c.spoiled(b.id, nil, RefusedStream, "not accepted")
	}
}

// Accept takes on the stream that Request is about, as st, whose Owner the
// caller has set. It is called inside Request, once.
func (c *Core[O]) Accept(st *Stream[O]) {
	b := c.block
	if b == nil || c.err != nil {
		return
	}
	c.block = nil
	*st = Stream[O]{Owner: st.Owner, id: b.id, state: Open, remain: b.ContentLength,
		marks: received | counted | held}
	if b.end {
		st.state = HalfClosedRemote
	}
	c.active++
	c.lastShown = b.id
	c.table.add(st)
}

// response is the first header block on a client's stream, section 8.1.
func (c *Core[O]) response(st *Stream[O], b *headerBlock) {
	informational := b.checkResponse()
	switch {
	case informational && b.end:
		b.bad = "an informational response ends the stream"
	case b.end && b.ContentLength > 0:
		b.bad = "content-length without content"
	}
	if b.bad != "" {
		c.streamError(st, ProtocolError, b.bad)
		return
	}
	if informational {
		c.chore()
		return
	}
	c.chores.give(c.limits.chores)
	st.marks |= received
	st.remain = b.ContentLength
	if b.end && st.remoteEnd() {
		c.close(st, ended)
	}
	c.sink.Headers(st, &b.Block, b.end)
}

// trailers is the last header block of a stream, section 8.1.
func (c *Core[O]) trailers(st *Stream[O], b *headerBlock) {
	b.checkTrailers()
	switch {
	case !b.end:
		b.bad = "trailers do not end the stream"
	case st.remain > 0:
		b.bad = "not as much DATA as content-length says"
	}
	if b.bad != "" {
		c.streamError(st, ProtocolError, b.bad)
		return
	}
	if st.remoteEnd() {
		c.close(st, ended)
	}
	c.sink.Headers(st, &b.Block, true)
}
