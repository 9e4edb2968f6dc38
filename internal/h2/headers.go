package h2

import (
	"encoding/binary"
	"sync"

	"golang.org/x/net/http2/hpack"
)

// headerBlock is a header block being assembled, RFC 9113, section 4.3. One of
// several frames is put together first: the decoder would keep what it has of a
// field, and the storage for as long as the connection lasts. It is always
// decoded to its end, whatever becomes of the stream, or the decoder would lose
// its place.
type headerBlock struct {
	Block
	id     uint32
	end    bool   // END_STREAM
	size   int    // encoded bytes so far
	frames int    // CONTINUATION frames so far
	parts  []byte // of several frames, what has come
	list   int    // decoded bytes as section 6.5.2 counts them
	limit  int    // of list
	seen   seen
	bad    string // why it is malformed; empty if it is not
	fresh  bool   // it opens a stream
	drop   bool   // nobody wants it
	code   Code   // if not NoError, what the stream ends with once it is decoded
	why    string
}

var blocks = sync.Pool{New: func() any { return new(headerBlock) }}

func (c *Core[O]) headersFrame(h Header, p []byte) {
	if h.Stream == 0 {
		c.fail(ProtocolError, "6.2", "HEADERS on stream 0")
		return
	}
	p, dependsOnSelf := c.unwrap(h, p)
	if c.err != nil || !c.beginBlock(h) {
		return
	}
	if dependsOnSelf {
		c.block.spoil(ProtocolError, "a stream depends on itself")
	}
	c.fragment(h, p)
}

// unwrap takes padding and priority off, section 6.2.
func (c *Core[O]) unwrap(h Header, p []byte) (fragment []byte, dependsOnSelf bool) {
	pad := 0
	if h.Flags.Has(FlagPadded) {
		if len(p) == 0 {
			c.fail(ProtocolError, "6.2", "padding without a length")
			return nil, false
		}
		pad, p = int(p[0]), p[1:]
	}
	if h.Flags.Has(FlagPriority) {
		if len(p) < priorityLen {
			c.fail(FrameSizeError, "6.2", "HEADERS are too short for their priority")
			return nil, false
		}
		dependsOnSelf = binary.BigEndian.Uint32(p)&idMask == h.Stream
		p = p[priorityLen:]
	}
	if pad > len(p) {
		c.fail(ProtocolError, "6.2", "more padding than frame")
		return nil, false
	}
	return p[:len(p)-pad], dependsOnSelf
}

// beginBlock finds out what a HEADERS frame is for; false when the connection
// has failed.
func (c *Core[O]) beginBlock(h Header) bool {
	b := blocks.Get().(*headerBlock)
	b.id, b.end = h.Stream, h.Flags.Has(FlagEndStream)
	b.limit, b.ContentLength = int(c.limits.MaxHeaderList), -1
	c.block = b
	switch st := c.table.find(h.Stream); {
	case st != nil && st.RemoteDone():
		b.spoil(StreamClosed, "HEADERS after END_STREAM")
	case st != nil:
	case h.Stream&1 == 0 || c.limits.Client && c.idle(h.Stream):
		c.fail(ProtocolError, "5.1.1", "HEADERS on a stream that the peer may not open")
	case c.idle(h.Stream):
		c.lastID, b.fresh = h.Stream, true
		if h.Stream > c.lastTaken {
			c.past.add(h.Stream, unwanted)
			b.drop = true
		}
	default:
		c.lateHeaders(b)
	}
	return c.err == nil
}

// lateHeaders is a header block for a stream that is closed.
func (c *Core[O]) lateHeaders(b *headerBlock) {
	switch c.past.of(b.id) {
	case never:
		c.fail(ProtocolError, "5.1.1", "a stream's identifier is lower than the one before")
	case ended:
		c.fail(StreamClosed, "5.1", "HEADERS on a closed stream")
	case resetIn:
		b.spoil(StreamClosed, "HEADERS after RST_STREAM")
	default: // sent before the peer knew, or too long ago to tell
		b.drop = true
		c.chore()
	}
}

// spoil notes what the stream ends with when the block is decoded.
func (b *headerBlock) spoil(code Code, why string) {
	if b.code == NoError {
		b.code, b.why = code, why
	}
}

func (c *Core[O]) continuationFrame(h Header, p []byte) {
	b := c.block
	switch {
	case b == nil:
		c.fail(ProtocolError, "6.10", "CONTINUATION without HEADERS")
		return
	case b.id != h.Stream:
		c.fail(ProtocolError, "6.10", "CONTINUATION of another stream")
		return
	}
	if b.frames++; b.frames > c.limits.MaxContinuations {
		c.fail(EnhanceYourCalm, "", "too many CONTINUATION frames")
		return
	}
	c.fragment(h, p)
}

// fragment takes a piece of the block, and decodes it when it is the last.
func (c *Core[O]) fragment(h Header, p []byte) {
	b := c.block
	if b.size += len(p); b.size > c.limits.MaxHeaderBlock {
		c.fail(EnhanceYourCalm, "", "a header block is too long")
		return
	}
	last := h.Flags.Has(FlagEndHeaders)
	if !last || b.frames > 0 {
		b.parts = append(b.parts, p...)
		p = b.parts
	}
	if !last {
		return
	}
	if c.dec == nil {
		// The table begins with the size that everybody assumes; ours bounds
		// what the peer may make of it.
		c.dec = hpack.NewDecoder(before.HeaderTable, c.field)
		c.dec.SetAllowedMaxDynamicTableSize(c.limits.HeaderTable)
		c.dec.SetMaxStringLength(c.limits.MaxHeaderBlock)
	}
	_, err := c.dec.Write(p)
	if err == nil {
		err = c.dec.Close()
	}
	if err != nil {
		c.fail(CompressionError, "4.3", "a header block cannot be decoded")
		return
	}
	c.endBlock()
}

// field is called by the decoder for each field.
func (c *Core[O]) field(f hpack.HeaderField) { c.block.add(f) }

// endBlock hands a decoded block on.
func (c *Core[O]) endBlock() {
	b := c.block
	c.block = nil // the sink may call Fail
	st := c.table.find(b.id)
	switch {
	case b.drop:
	case b.code != NoError:
		c.spoiled(b.id, st, b.code, b.why)
	case b.fresh:
		c.request(b)
	case st == nil: // it was closed between HEADERS and CONTINUATION
	case c.limits.Client && st.marks&received == 0:
		c.response(st, b)
	default:
		c.trailers(st, b)
	}
	b.release()
}

// spoiled ends a stream whose header block was wrong.
func (c *Core[O]) spoiled(id uint32, st *Stream[O], code Code, why string) {
	if st != nil {
		c.streamError(st, code, why)
		return
	}
	if c.past.of(id) != resetIn {
		c.past.add(id, resetOut)
	}
	c.refuse(id, code)
}

// release gives the block back, without what it points to.
func (b *headerBlock) release() {
	fields := b.Fields
	clear(fields)
	if cap(fields) > 128 {
		fields = nil
	}
	*b = headerBlock{Block: Block{Fields: fields[:0]}}
	blocks.Put(b)
}

func (c *Core[O]) dropBlock() {
	// Not given back: somebody up the stack may still look at it.
	c.block = nil
}
