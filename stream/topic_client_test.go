package stream

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/h2"
)

// listener is one client connection with subscribed streams: frames by hand, so
// that it reads exactly as much as a test wants.
type listener struct {
	t         testing.TB
	nc        net.Conn
	r         *bufio.Reader
	got       map[uint32][]byte // of each stream: bytes of messages not complete yet
	ends      map[uint32]string // streams that ended: "reset" or "trailers"
	onMsg     func(stream uint32, payload []byte)
	authority string
	owed      uint32 // connection window to give back
	data      int    // bytes of DATA so far
}

const patienceOfTests = 60 * time.Second

// listen connects. Streams have window bytes until they are given more.
func listen(t testing.TB, addr string, window uint32) *listener {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patienceOfTests))
	l := &listener{t: t, nc: nc, r: bufio.NewReaderSize(nc, 64<<10), got: map[uint32][]byte{}, ends: map[uint32]string{}, authority: "test"}
	out := append([]byte(nil), h2.Preface...)
	out = h2.AppendSettings(out, h2.Setting{ID: h2.SettingInitialWindowSize, Value: window})
	out = h2.AppendWindowUpdate(out, 0, 1<<30)
	l.write(out)
	return l
}

func (l *listener) write(p []byte) {
	if _, err := l.nc.Write(p); err != nil {
		l.t.Errorf("client: %v", err)
	}
}

// open calls a method on stream id, with a request of one message, and ends its
// side.
func (l *listener) open(id uint32, path string, request []byte) {
	var block []byte
	for _, f := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", path}, {":authority", l.authority},
		{"content-type", "application/grpc"}, {"te", "trailers"}} {
		block = h2.AppendField(block, f[0], f[1])
	}
	out := h2.AppendHeaders(nil, id, block, false, h2.MinMaxFrame)
	m := append(h2.AppendPrefix(nil, false, len(request)), request...)
	l.write(h2.AppendData(out, id, m, true))
}

func (l *listener) give(id uint32, n uint32) { l.write(h2.AppendWindowUpdate(nil, id, n)) }

// read takes one frame; false at the end of the connection.
func (l *listener) read() bool {
	var head [h2.HeaderLen]byte
	if _, err := io.ReadFull(l.r, head[:]); err != nil {
		return false
	}
	h := h2.ParseHeader(head[:])
	p := make([]byte, h.Length)
	if _, err := io.ReadFull(l.r, p); err != nil {
		return false
	}
	switch h.Type {
	case h2.FrameData:
		l.owed += h.Length
		l.data += int(h.Length)
		if l.owed > 1<<20 {
			l.give(0, l.owed)
			l.owed = 0
		}
		l.message(h.Stream, p)
	case h2.FrameHeaders:
		if h.Flags&h2.FlagEndStream != 0 {
			l.ends[h.Stream] = "trailers"
		}
	case h2.FrameRSTStream:
		if l.ends[h.Stream] == "" {
			l.ends[h.Stream] = "reset"
		}
	case h2.FrameSettings:
		if h.Flags&h2.FlagAck == 0 {
			l.write(h2.AppendSettingsAck(nil))
		}
	case h2.FramePing:
		if h.Flags&h2.FlagAck == 0 {
			l.write(h2.AppendPing(nil, true, [8]byte(p)))
		}
	case h2.FrameGoAway:
		l.t.Errorf("client: GOAWAY %v %q", binary.BigEndian.Uint32(p[4:]), p[8:])
	}
	return true
}

func (l *listener) message(id uint32, p []byte) {
	if old := l.got[id]; len(old) > 0 {
		p = append(old, p...)
	}
	for {
		m, _, used, err := h2.NextMessage(p, 16<<20)
		if err != nil {
			l.t.Fatal(err)
		}
		if used == 0 {
			break
		}
		if l.onMsg != nil {
			l.onMsg(id, m)
		}
		p = p[used:]
	}
	l.got[id] = p
}

// serveTopic is a server with one method, /t.T/Subscribe.
func serveTopic(t testing.TB, cfg conn.Config, open func(st *Stream) error) (rt *conn.Runtime, srv *Server, addr string) {
	t.Helper()
	rt, err := conn.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rt.Close() })
	srv = NewServer(Config{})
	err = srv.Handle("/t.T/Subscribe", Method{Open: func(st *Stream) (Handler, error) {
		return idleHandler{}, open(st)
	}})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := rt.Listen(conn.TCP(netip.MustParseAddrPort("127.0.0.1:0")), srv.Serve)
	if err != nil {
		t.Fatal(err)
	}
	return rt, srv, ln.Addr().String()
}

// idleHandler takes messages and does nothing; its stream lives on when the
// peer has ended its side.
type idleHandler struct{}

func (idleHandler) Message(*Stream, []byte) error { return nil }
func (idleHandler) Closed(*Stream, error)         {}
