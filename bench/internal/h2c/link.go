package h2c

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/h2"
)

const (
	maxFrame  = h2.MinMaxFrame
	slowFirst = 1024    // the window of streams that are not read
	topUp     = 1 << 30 // of received bytes are given back at once
)

// link is one connection and its streams. It is its handler; all is the loop's.
type link struct {
	client *Client
	conn   *conn.Conn
	index  int

	out      []byte // written at the end of each callback
	fields   fields
	request  []byte // header block of every request but the first
	streams  []*flow
	calls    []call // Unary: those under way
	free     []int  // of calls
	nextID   uint32
	room     int64   // of the connection's window, to send
	initial  int64   // window of a new stream, to send
	blocked  []*flow // wait for a window
	taken    int64   // bytes received that the connection's window has not been given back
	greeted  bool
	underWay int
}

func newLink(c *Client, index int) *link {
	l := &link{client: c, index: index, nextID: 1, room: h2.InitialWindow, initial: h2.InitialWindow}
	l.fields.init()
	return l
}

// serve begins: everything may be sent to us, except on streams that are not read.
func (l *link) serve(c *conn.Conn) conn.Handler {
	l.conn = c
	l.client.links = append(l.client.links, l)
	window := uint32(h2.MaxWindow)
	if l.client.cfg.Slow > 0 {
		window = slowFirst
	}
	l.out = append(l.out, h2.Preface...)
	l.out = h2.AppendSettings(l.out, h2.Setting{ID: h2.SettingInitialWindowSize, Value: window},
		h2.Setting{ID: h2.SettingMaxConcurrentStreams, Value: math.MaxInt32}, h2.Setting{ID: h2.SettingEnablePush, Value: 0})
	l.out = h2.AppendWindowUpdate(l.out, 0, h2.MaxWindow-h2.InitialWindow)
	l.flush()
	return l
}

// Data reads the frames that are complete.
func (l *link) Data(c *conn.Conn) error {
	in := c.Peek()
	l.client.now = time.Now().UnixNano()
	used := 0
	for p := in; len(p) >= h2.HeaderLen; p = in[used:] {
		n := int(p[0])<<16 | int(p[1])<<8 | int(p[2])
		if n > maxFrame {
			return fmt.Errorf("%w: a frame of %d bytes", ErrProtocol, n)
		}
		if len(p) < h2.HeaderLen+n {
			break
		}
		kind, flags, id := h2.Type(p[3]), h2.Flags(p[4]), binary.BigEndian.Uint32(p[5:])
		if err := l.frame(kind, flags, id, p[h2.HeaderLen:h2.HeaderLen+n]); err != nil {
			return err
		}
		used += h2.HeaderLen + n
	}
	c.Discard(used)
	if l.taken >= topUp {
		l.out = h2.AppendWindowUpdate(l.out, 0, uint32(l.taken))
		l.taken = 0
	}
	l.unblock()
	l.flush()
	l.client.tell()
	return nil
}

// Closed is a failure: the client closes its connections by ending its runtime.
func (l *link) Closed(_ *conn.Conn, err error) {
	l.client.fail(fmt.Errorf("%w: connection %d: %v", ErrEnded, l.index, err))
}

// flush writes what the callback has put together. The server reads, or there is a limit of messages under way: that
// a write is refused is a failure.
func (l *link) flush() {
	if len(l.out) == 0 {
		return
	}
	if n, err := l.conn.Write(l.out); err != nil {
		l.client.fail(fmt.Errorf("wrote %d of %d bytes: %w", n, len(l.out), err))
	}
	l.out = l.out[:0]
}

func (l *link) frame(kind h2.Type, flags h2.Flags, id uint32, p []byte) error {
	switch kind {
	case h2.FrameData:
		l.taken += int64(len(p))
		if flags.Has(h2.FlagPadded) {
			return fmt.Errorf("%w: padding", ErrProtocol)
		}
		return l.data(id, p, flags.Has(h2.FlagEndStream))
	case h2.FrameHeaders:
		if !flags.Has(h2.FlagEndHeaders) || flags.Has(h2.FlagPadded) || flags.Has(h2.FlagPriority) {
			return fmt.Errorf("%w: HEADERS with flags %x", ErrProtocol, flags)
		}
		return l.headers(id, p, flags.Has(h2.FlagEndStream))
	case h2.FrameWindowUpdate:
		return l.windowUpdate(id, int64(binary.BigEndian.Uint32(p)))
	case h2.FrameSettings:
		return l.settings(flags, p)
	case h2.FramePing:
		if !flags.Has(h2.FlagAck) {
			l.out = h2.AppendPing(l.out, true, [8]byte(p))
		}
		return nil
	case h2.FrameRSTStream, h2.FrameGoAway:
		return fmt.Errorf("%w: frame of type %d on stream %d: % x", ErrEnded, kind, id, p)
	}
	return fmt.Errorf("%w: frame of type %d", ErrProtocol, kind)
}

// settings applies what the server says, and opens the streams after the first.
func (l *link) settings(flags h2.Flags, p []byte) error {
	if flags.Has(h2.FlagAck) {
		return nil
	}
	for ; len(p) >= 6; p = p[6:] {
		value := int64(binary.BigEndian.Uint32(p[2:]))
		if h2.SettingID(binary.BigEndian.Uint16(p)) == h2.SettingInitialWindowSize {
			for _, s := range l.streams {
				s.room += value - l.initial
			}
			l.initial = value
		}
	}
	l.out = h2.AppendSettingsAck(l.out)
	if !l.greeted {
		l.greeted = true
		l.open()
		l.client.ready++
	}
	return nil
}

func (l *link) windowUpdate(id uint32, n int64) error {
	if id == 0 {
		l.room += n
		return nil
	}
	if s := l.stream(id); s != nil {
		s.room += n
	}
	return nil // on a call that has ended, or whose one message has long gone
}

// unblock sends what had no window.
func (l *link) unblock() {
	for len(l.blocked) > 0 && l.room > 0 {
		s := l.blocked[0]
		if !s.fits() {
			return
		}
		l.blocked = append(l.blocked[:0], l.blocked[1:]...)
		s.send()
	}
}

// settled reports whether nothing is under way and nothing is missing.
func (l *link) settled(last uint64) bool {
	if l.underWay > 0 {
		return false
	}
	if l.client.cfg.Mode != Listen {
		return true
	}
	for _, s := range l.streams {
		if !s.slow && s.seq < last {
			return false
		}
	}
	return true
}
