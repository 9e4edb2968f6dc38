package netconn_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/netconn"
)

// FuzzStream does what its input says with the two ends of a connection, one
// step after the other, and compares every result with a model of a stream:
// what goes in comes out, once and in order, whatever deadlines, half-closes
// and changes of face come in between.
func FuzzStream(f *testing.F) {
	rt := start(f, conn.Config{Loops: 1})
	tcp, unix := listen(f, rt, loopback4), listen(f, rt, at(f, "unix"))
	f.Add([]byte("\x00\x10\x11\x20\x01\x02\x83\x94\xa5\xb6\xc7"))
	f.Add([]byte("\x00\xff\x01\x05\x06\x07\x08\x09\x10\x11\x12\x13\x03\x04\x00"))
	f.Add(bytes.Repeat([]byte{0x00, 0x81, 0x07, 0x02, 0x82, 0x01, 0x06, 0x86}, 20))
	for _, kind := range []string{"\x00", "\x01"} { // TCP, and a Unix socket
		f.Add([]byte(kind + "\x00\x10\x83\x08\x80\x10\x09\x05\x0a\x00\x03\xff\x80\x10\x07\x00\x03\x01\x08\x00\x07\x01\x03\xff\x8b\x00" + // both ways, late, new faces
			"\x0c\x00\x88\x00\x83\xff\x80\x20\x03\xff\x8d\x00\x00\x10\x8e\x00\x0e\x00")) // half-closes and the end
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) == 0 {
			return
		}
		l := tcp
		if script[0]&1 == 1 {
			l = unix
		}
		m := newModel(t, dial(t, rt, l.Addr()), accept(t, l))
		for i := 1; i+1 < len(script) && i < 400; i += 2 {
			m.step(script[i], int(script[i+1]))
		}
		m.finish()
	})
}

// side is one end and what the model knows of it.
type side struct {
	*netconn.Conn
	name     string
	sent     []byte // to the peer, not yet read there
	finished bool   // CloseWrite
	closed   bool
	deaf     bool // CloseRead
	late     bool // its read deadline has passed
	written  byte // counts what it wrote, so that every byte tells its place
}

type model struct {
	t     *testing.T
	ends  [2]*side
	reset bool // one end was closed with input unread: the other may lose bytes
	log   []string
}

func newModel(t *testing.T, a, b *netconn.Conn) *model {
	for _, c := range []*netconn.Conn{a, b} {
		c.SetDeadline(time.Now().Add(patience)) // a step that waits is a failure
	}
	return &model{t: t, ends: [2]*side{{Conn: a, name: "a"}, {Conn: b, name: "b"}}}
}

// inFlight bounds what a side writes ahead, so that no Write has to wait.
const inFlight = 16 << 10

func (m *model) step(op byte, n int) {
	me, peer := m.ends[op>>7], m.ends[1-op>>7]
	switch op & 0x0f {
	case 0, 1, 2:
		m.write(me, peer, n*int(op>>4&7+1))
	case 3, 4, 5, 6:
		m.read(me, peer, n*4+1)
	case 7:
		m.setLate(me, n&1 == 0)
	case 8:
		m.waitRead(me, peer)
	case 9:
		m.unread(me, peer, n)
	case 10, 11:
		m.changeFace(me, peer)
	case 12:
		m.closeWrite(me, n)
	case 13:
		m.closeRead(me, n)
	case 14:
		m.close(me, peer, n)
	}
}

func (m *model) note(format string, args ...any) {
	m.log = append(m.log, fmt.Sprintf(format, args...))
}

func (m *model) fail(format string, args ...any) {
	m.t.Helper()
	for _, line := range m.log {
		m.t.Log(line)
	}
	m.t.Fatalf(format, args...)
}

func (m *model) write(me, peer *side, n int) {
	if len(me.sent)+n > inFlight {
		return
	}
	p := make([]byte, n)
	for i := range p {
		p[i] = me.written + byte(i)
	}
	var got int
	var err error
	if n%3 == 0 {
		var long int64
		long, err = me.Writev([][]byte{p[:n/2], nil, p[n/2:]})
		got = int(long)
	} else {
		got, err = me.Write(p)
	}
	m.note("%s writes %d: %d, %v", me.name, n, got, err)
	switch {
	case me.closed:
		m.is(err, net.ErrClosed)
	case n == 0:
	case me.finished, peer.closed, peer.deaf:
		// The peer's end may or may not be known here by now.
		if err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) || me.finished && err == nil {
			m.fail("write after the end: %v", err)
		}
	case err != nil || got != n:
		if !m.reset {
			m.fail("write of %d: %d, %v", n, got, err)
		}
	}
	// Linux resets a connection on which bytes arrive that nobody can read.
	m.reset = m.reset || got > 0 && peer.deaf && peer.finished
	me.written += byte(got)
	me.sent = append(me.sent, p[:got]...)
}

func (m *model) read(me, peer *side, n int) {
	if !m.decided(me, peer) {
		return
	}
	p := make([]byte, n)
	got, err := me.Read(p)
	m.note("%s reads %d: %d, %v", me.name, n, got, err)
	m.judge(me, peer, p[:got], err)
}

// decided tells whether a Read has an answer at once.
func (m *model) decided(me, peer *side) bool {
	return me.closed || me.late || me.deaf || m.reset || len(peer.sent) > 0 || peer.finished || peer.closed
}

// judge checks what a Read of me has given.
func (m *model) judge(me, peer *side, p []byte, err error) {
	switch {
	case me.closed:
		m.is(err, net.ErrClosed)
	case me.late:
		m.is(err, os.ErrDeadlineExceeded)
	case !bytes.HasPrefix(peer.sent, p):
		m.fail("bytes that were not sent, or not in this place: %x", p)
	case m.reset && err != nil, me.deaf && err == io.EOF:
	case err == io.EOF:
		if len(peer.sent) > 0 || !peer.finished && !peer.closed {
			m.fail("the end came before the end")
		}
	case err != nil:
		m.fail("read: %v", err)
	case len(p) == 0:
		m.fail("a Read of nothing")
	}
	peer.sent = peer.sent[len(p):]
}

func (m *model) waitRead(me, peer *side) {
	if !m.decided(me, peer) {
		return
	}
	err := me.WaitRead()
	m.note("%s waits: %v", me.name, err)
	switch {
	case me.closed:
		m.is(err, net.ErrClosed)
	case me.late:
		m.is(err, os.ErrDeadlineExceeded)
	case err != nil:
		m.fail("WaitRead: %v", err)
	}
}

func (m *model) setLate(me *side, late bool) {
	when := time.Now().Add(patience)
	if late {
		when = past
	}
	err := me.SetReadDeadline(when)
	m.note("%s late=%v: %v", me.name, late, err)
	if me.closed {
		m.is(err, net.ErrClosed)
		return
	}
	m.nothing(err)
	me.late = late
}

// unread reads a little and gives it back.
func (m *model) unread(me, peer *side, n int) {
	if me.closed || me.late || m.reset || me.deaf || len(peer.sent) == 0 {
		return
	}
	p := make([]byte, n%32+1)
	got, err := me.Read(p)
	m.note("%s reads and gives back %d: %v", me.name, got, err)
	m.nothing(err)
	if !bytes.HasPrefix(peer.sent, p[:got]) {
		m.fail("bytes that were not sent, or not in this place: %x", p[:got])
	}
	me.Blocking().Unread(p[:got])
}

// changeFace goes to the callback face and straight back.
func (m *model) changeFace(me, peer *side) {
	if me.closed || m.reset {
		return
	}
	back := &straightBack{here: make(chan *netconn.Conn, 1)}
	if err := me.Callback(back); err != nil {
		m.fail("Callback: %v", err)
	}
	err := me.Blocking().Conn().Post(func(c *conn.Conn) {
		if !back.gone {
			back.here <- netconn.FromBlocking(c.Block())
			back.gone = true
		}
	})
	m.nothing(err)
	c := <-back.here
	m.note("%s has changed its face: alive %v", me.name, c != nil)
	if c == nil { // the end of the stream was there: the callback face closes
		if !peer.finished && !peer.closed && !me.deaf {
			m.fail("closed before the end")
		}
		me.closed = true
		m.reset = true
		return
	}
	me.Conn = c
	m.nothing(c.SetDeadline(time.Now().Add(patience)))
	me.late = false
}

// straightBack leaves the callback face at the first opportunity.
type straightBack struct {
	here chan *netconn.Conn
	gone bool
}

func (s *straightBack) Data(c *conn.Conn) error {
	s.gone = true
	s.here <- netconn.FromBlocking(c.Block())
	return nil
}

func (s *straightBack) EOF(c *conn.Conn) error {
	s.gone = true
	s.here <- netconn.FromBlocking(c.Block())
	return nil
}

func (s *straightBack) Closed(*conn.Conn, error) {
	if !s.gone {
		s.gone = true
		s.here <- nil
	}
}

func (m *model) closeWrite(me *side, n int) {
	if n > 40 { // not too often
		return
	}
	err := me.CloseWrite()
	m.note("%s closes its writing half: %v", me.name, err)
	if me.closed {
		m.is(err, net.ErrClosed)
		return
	}
	if err != nil && !errors.Is(err, syscall.ENOTCONN) {
		m.fail("CloseWrite: %v", err)
	}
	me.finished = true
	m.shut(me)
}

// shut notes that the kernel may reset a connection both of whose halves one
// side has shut: Linux does, when bytes under way arrive after that (RFC 1122,
// 4.2.2.13), and for what the peer wrote before it may do so now.
func (m *model) shut(me *side) {
	peer := m.ends[0]
	if peer == me {
		peer = m.ends[1]
	}
	m.reset = m.reset || me.finished && me.deaf && len(peer.sent) > 0
}

func (m *model) closeRead(me *side, n int) {
	if n > 20 {
		return
	}
	err := me.CloseRead()
	m.note("%s closes its reading half: %v", me.name, err)
	if me.closed {
		m.is(err, net.ErrClosed)
		return
	}
	if err != nil && !errors.Is(err, syscall.ENOTCONN) {
		m.fail("CloseRead: %v", err)
	}
	me.deaf = true
	m.shut(me)
}

func (m *model) close(me, peer *side, n int) {
	if n > 20 {
		return
	}
	err := me.Close()
	m.note("%s closes: %v", me.name, err)
	if me.closed {
		m.is(err, net.ErrClosed)
		return
	}
	m.nothing(err)
	me.closed = true
	m.reset = m.reset || len(peer.sent) > 0 || me.deaf
}

// finish reads what is left on both ends.
func (m *model) finish() {
	for _, me := range m.ends {
		if !me.closed {
			m.setLate(me, false)
			m.closeWrite(me, 0)
		}
	}
	for i, me := range m.ends {
		peer := m.ends[1-i]
		for !me.closed {
			p := make([]byte, 4096)
			n, err := me.Read(p)
			m.note("%s reads to the end: %d, %v", me.name, n, err)
			m.judge(me, peer, p[:n], err)
			if err != nil {
				break
			}
		}
		me.Close()
	}
}

func (m *model) is(err, target error) {
	m.t.Helper()
	if !errors.Is(err, target) {
		m.fail("got %v, want %v", err, target)
	}
}

func (m *model) nothing(err error) {
	m.t.Helper()
	if err != nil {
		m.fail("%v", err)
	}
}
