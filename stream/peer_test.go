package stream

import (
	"runtime"
	"testing"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/h2"
	"github.com/weir-go/weir/internal/leak"
	"github.com/weir-go/weir/timer"
)

func TestMain(m *testing.M) { leak.Main(m) }

// fakeLink is a Link without a connection: what is written to it is kept, its
// room is what the test says, and its clock and timers are turned by hand.
type fakeLink struct {
	rt     *conn.Runtime
	out    []byte
	writes int
	room   int // bytes it still accepts; below 0: any number
	poked  chan struct{}
	handed int
	closed bool
	cause  error
	now    timer.Time
	heap   timer.Heap
}

func (l *fakeLink) Write(p []byte) (int, error) {
	l.writes++
	switch {
	case l.closed:
		return 0, conn.ErrClosed
	case l.room < 0 || l.room >= len(p):
		l.out = append(l.out, p...)
		if l.room >= 0 {
			l.room -= len(p)
		}
		return len(p), nil
	}
	n := l.room
	l.out = append(l.out, p[:n]...)
	l.room = 0
	return n, conn.ErrFull
}

func (l *fakeLink) AppendShared(s *conn.Shared) error {
	_, err := l.Write(s.Bytes())
	return err
}

// Pending: something waits as long as room is short.
func (l *fakeLink) Pending() int {
	if l.room < 0 {
		return 0
	}
	return 1
}

func (l *fakeLink) Room() int {
	if l.room < 0 {
		return 1 << 20
	}
	return l.room
}

func (l *fakeLink) Close() error        { l.closed = true; return nil }
func (l *fakeLink) CloseWith(err error) { l.closed, l.cause = true, err }

// Poke may come from any goroutine, as a connection's.
func (l *fakeLink) Poke() {
	select {
	case l.poked <- struct{}{}:
	default:
	}
}

func (l *fakeLink) Handed()                                  { l.handed++ }
func (l *fakeLink) SetTimer(t *timer.Timer, when timer.Time) { l.heap.Set(t, when) }
func (l *fakeLink) StopTimer(t *timer.Timer) bool            { return l.heap.Stop(t) }
func (l *fakeLink) Now() timer.Time                          { return l.now }
func (l *fakeLink) Loop() int                                { return 0 }
func (l *fakeLink) ID() uint64                               { return 1 }
func (l *fakeLink) Remote() conn.Addr                        { return conn.Addr{} }
func (l *fakeLink) Local() conn.Addr                         { return conn.Addr{} }
func (l *fakeLink) Runtime() *conn.Runtime                   { return l.rt }

// peer is a client that writes frames by hand to a session on a fakeLink.
type peer struct {
	t       testing.TB
	srv     *Server
	s       *Session
	l       *fakeLink
	in      []byte // not consumed by the session yet
	next    uint32 // stream identifier
	scratch []byte
}

// newPeer begins a session. At the end of the test it is lost, and nothing may
// be held any more.
func newPeer(t testing.TB, cfg Config, setup func(*Server)) *peer {
	t.Helper()
	p := &peer{t: t, srv: NewServer(cfg), l: &fakeLink{room: -1, now: 1, poked: make(chan struct{}, 1)}, next: 1}
	if setup != nil {
		setup(p.srv)
	}
	p.s = p.srv.Attach(p.l)
	t.Cleanup(func() {
		p.s.Lost(nil)
		p.srv.workers.close()
		s := p.srv.Stats()
		if s.Sessions != 0 || s.Streams != 0 || s.Held != 0 || p.s.heldIn.Load() != 0 || p.l.heap.Len() != 0 {
			t.Errorf("at the end: %+v, %d bytes from the peer, %d timers", s, p.s.heldIn.Load(), p.l.heap.Len())
		}
	})
	return p
}

// feed shows the session bytes, behind those it has left.
func (p *peer) feed(b []byte) error {
	p.in = append(p.in, b...)
	n, err := p.s.Feed(p.in)
	p.in = append(p.in[:0], p.in[n:]...)
	return err
}

// greet is the preface with SETTINGS.
func (p *peer) greet(settings ...h2.Setting) {
	p.t.Helper()
	b := append([]byte(h2.Preface), h2.AppendSettings(nil, settings...)...)
	if err := p.feed(h2.AppendSettingsAck(b)); err != nil {
		p.t.Fatal(err)
	}
}

// header is a request's block.
func header(path string, more ...string) []byte {
	b := h2.AppendIndexed(nil, h2.IndexMethodPOST)
	b = h2.AppendIndexed(b, h2.IndexSchemeHTTP)
	b = h2.AppendField(b, ":path", path)
	b = h2.AppendField(b, ":authority", "weir.test")
	b = h2.AppendField(b, "content-type", "application/grpc")
	b = h2.AppendField(b, "te", "trailers")
	for i := 0; i+1 < len(more); i += 2 {
		b = h2.AppendField(b, more[i], more[i+1])
	}
	return b
}

// message is a gRPC message.
func message(m string) []byte { return append(h2.AppendPrefix(nil, false, len(m)), m...) }

// open opens a stream and returns its identifier.
func (p *peer) open(path string, end bool, more ...string) uint32 {
	id := p.next
	p.next += 2
	p.feed(h2.AppendHeaders(nil, id, header(path, more...), end, h2.MinMaxFrame))
	return id
}

// data sends DATA on a stream.
func (p *peer) data(id uint32, b []byte, end bool) error {
	return p.feed(h2.AppendData(nil, id, b, end))
}

// poke does what pokes ask for.
func (p *peer) poke() {
	for {
		select {
		case <-p.l.poked:
			p.s.Poked()
		default:
			return
		}
	}
}

// await pokes until ok, waiting for goroutines to leave something.
func (p *peer) await(what string, ok func() bool) {
	p.t.Helper()
	for late := time.After(30 * time.Second); !ok(); {
		select {
		case <-p.l.poked:
			p.s.Poked()
		case <-late:
			p.t.Fatalf("%s: it does not come to that", what)
		default:
			runtime.Gosched()
		}
	}
}

// frames takes what the session has sent apart.
func (p *peer) frames() (all []frame) {
	b := p.l.out
	for len(b) >= h2.HeaderLen {
		h := h2.ParseHeader(b)
		n := h2.HeaderLen + int(h.Length)
		if n > len(b) {
			break
		}
		all = append(all, frame{h, append([]byte(nil), b[h2.HeaderLen:n]...)})
		b = b[n:]
	}
	p.l.out = append(p.l.out[:0], b...)
	return all
}

type frame struct {
	h2.Header
	p []byte
}
