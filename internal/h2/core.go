package h2

import (
	"golang.org/x/net/http2/hpack"
)

// Core is one end of one HTTP/2 connection without its socket. It is owned by
// one goroutine, commonly the loop of the connection. The zero value waits for
// Start. O is a pointer to the owner's own stream type.
//
// Before any method that may send, the owner lends Out a buffer, and afterwards
// sends what is in it, in order.
type Core[O any] struct {
	Out []byte // frames to send

	limits *Limits
	sink   Sink[O]
	now    int64  // of the Feed under way
	err    *Error // why the connection ended

	// Receiving.
	dec      *hpack.Decoder // nil before the first header block
	block    *headerBlock   // being assembled; nil between blocks
	data     *Stream[O]     // of the DATA frame of which a part has come; nil between
	dataRest uint32         // of its payload still to come, without padding
	skip     uint32         // bytes to drop after that: padding, what nobody wants
	dataEnd  bool           // it has END_STREAM
	greeted  uint8          // bytes of the preface received
	begun    bool           // the peer's SETTINGS have come
	tableCut bool           // the next header block must say that we use no dynamic table
	tableOff bool           // and one has
	unacked  uint8          // SETTINGS of ours not acknowledged
	left     bool           // GOAWAY was received: no new streams

	peer       PeerSettings
	window     int32  // of each stream to us
	recvWindow int32  // of the connection: what the peer may still send
	recvOwed   int32  // consumed, not yet announced
	connTarget int32  // what recvWindow is filled up to
	lastID     uint32 // the highest stream that the peer has opened
	lastShown  uint32 // and the highest that was accepted
	lastTaken  uint32 // streams above it are ignored; lowered by GoAway
	past       history

	// Sending.
	nextID     uint32 // client: of the next stream
	sendWindow int32  // of the connection: what we may still send
	maxGain    int32  // no stream's sendGain has been above it

	table   table[O]
	active  uint32 // server: streams that count against MaxStreams; client: against the peer's
	replies int    // bytes of answers that nobody but the peer asked for, since ResetReplies

	resets, settings, pings, chores bucket
}

// Start begins: the client's preface, our SETTINGS and the connection's window
// go to Out.
func (c *Core[O]) Start(l *Limits, sink Sink[O]) {
	c.limits, c.sink = l, sink
	c.peer = before
	c.window, c.connTarget = l.StreamWindow, l.ConnWindow
	c.recvWindow, c.sendWindow = InitialWindow, InitialWindow
	c.nextID, c.lastTaken = 1, maxID
	settings := make([]Setting, 0, 8)
	if l.Client {
		c.Out = append(c.Out, Preface...)
		c.greeted = uint8(len(Preface)) // servers send none
		settings = append(settings, Setting{SettingEnablePush, 0})
	} else {
		settings = append(settings, Setting{SettingMaxConcurrentStreams, l.MaxStreams})
	}
	settings = append(settings,
		Setting{SettingInitialWindowSize, uint32(l.StreamWindow)},
		Setting{SettingMaxHeaderListSize, l.MaxHeaderList})
	if l.MaxFrame != MinMaxFrame {
		settings = append(settings, Setting{SettingMaxFrameSize, l.MaxFrame})
	}
	if l.HeaderTable != before.HeaderTable {
		settings = append(settings, Setting{SettingHeaderTableSize, l.HeaderTable})
	}
	c.Out = AppendSettings(c.Out, settings...)
	c.unacked = 1
	c.recvOwed = c.connTarget - InitialWindow
	c.announce()
}

// Feed takes received bytes and returns how many it is done with: all but an
// unfinished frame header and an unfinished frame that is not DATA, which are
// at most HeaderLen+MaxFrame bytes and must come first in the next call.
//
// now is the present instant in nanoseconds, of a clock that never goes back.
//
// An error is an *Error of the connection. GOAWAY is in Out then: the owner
// sends that and closes. All later calls return the same error.
func (c *Core[O]) Feed(now int64, p []byte) (n int, err error) {
	c.now = now
	size := len(p)
	for c.err == nil {
		used, ok := c.step(p)
		p = p[used:]
		if !ok {
			break
		}
	}
	if c.err != nil {
		return size, c.err
	}
	return size - len(p), nil
}

// step does one thing with the bytes at hand; ok is false when it needs more.
func (c *Core[O]) step(p []byte) (used int, ok bool) {
	switch {
	case c.dataRest > 0:
		if len(p) == 0 {
			return 0, false
		}
		return c.payload(p), true
	case c.skip > 0:
		n := min(int(c.skip), len(p))
		c.skip -= uint32(n)
		return n, n > 0
	case int(c.greeted) < len(Preface):
		return c.greet(p)
	case len(p) < HeaderLen:
		return 0, false
	}
	h := ParseHeader(p)
	if h.Type == FrameData {
		return c.dataFrame(h, p)
	}
	return c.frame(h, p)
}

// greet compares the client's preface, section 3.4.
func (c *Core[O]) greet(p []byte) (used int, ok bool) {
	want := Preface[c.greeted:]
	n := min(len(p), len(want))
	if string(p[:n]) != want[:n] {
		c.fail(ProtocolError, "3.4", "no client preface")
		return 0, false
	}
	c.greeted += uint8(n)
	return n, n > 0
}

// frame handles a frame other than DATA, once all of it is there.
func (c *Core[O]) frame(h Header, p []byte) (used int, ok bool) {
	if !c.acceptable(h) {
		return 0, false
	}
	if h.Type > FrameContinuation {
		if !c.chore() {
			return 0, false
		}
		c.skip = h.Length
		return HeaderLen, true
	}
	size := HeaderLen + int(h.Length)
	if len(p) < size {
		return 0, false
	}
	p = p[HeaderLen:size]
	switch h.Type {
	case FrameHeaders:
		c.headersFrame(h, p)
	case FrameContinuation:
		c.continuationFrame(h, p)
	case FramePriority:
		c.priorityFrame(h, p)
	case FrameRSTStream:
		c.rstStreamFrame(h, p)
	case FrameSettings:
		c.settingsFrame(h, p)
	case FramePing:
		c.pingFrame(h, p)
	case FrameGoAway:
		c.goAwayFrame(h, p)
	case FrameWindowUpdate:
		c.windowUpdateFrame(h, p)
	case FramePushPromise:
		// We never allow push, and clients may not.
		c.fail(ProtocolError, "8.4", "PUSH_PROMISE")
	}
	return size, true
}

// acceptable reports whether a frame may come now and is not too long; if not,
// the connection has failed.
func (c *Core[O]) acceptable(h Header) bool {
	switch {
	case h.Length > c.limits.MaxFrame:
		// For DATA a stream error would do, but its bytes would have to be
		// taken all the same.
		c.fail(FrameSizeError, "4.2", "a frame is too long")
	case !c.begun && (h.Type != FrameSettings || h.Flags.Has(FlagAck)):
		c.fail(ProtocolError, "3.4", "the first frame is not SETTINGS")
	case c.block != nil && h.Type != FrameContinuation:
		c.fail(ProtocolError, "6.10", "a header block is interrupted")
	default:
		return true
	}
	return false
}

// fail ends the connection.
func (c *Core[O]) fail(code Code, section, reason string) {
	if c.err != nil {
		return
	}
	c.err = &Error{Code: code, Section: section, Reason: reason}
	c.Out = AppendGoAway(c.Out, min(c.lastShown, c.lastTaken), code, reason)
	c.dropBlock()
}

// Fail ends the connection for a reason of the owner's: GOAWAY goes to Out, and
// Feed stops where it is and returns the error.
func (c *Core[O]) Fail(code Code, reason string) { c.fail(code, "", reason) }

// Err returns why the connection has ended, nil if it has not.
func (c *Core[O]) Err() error {
	if c.err == nil {
		return nil
	}
	return c.err
}

// chore pays for a frame that carries nothing; false when the connection has
// failed for it.
func (c *Core[O]) chore() bool {
	if c.chores.take(c.now, c.limits.chores) {
		return true
	}
	c.fail(EnhanceYourCalm, "", "too many frames that carry nothing")
	return false
}
