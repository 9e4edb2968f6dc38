package stream

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/h2"
)

// stage is a Client whose connections are fakes: the test is the loop, and each
// dial waits until the test lets it succeed or fail.
type stage struct {
	t     testing.TB
	c     *Client
	dials []*attempt // not answered yet
	fars  []*far

	mu    sync.Mutex // alarms post, too
	posts []func()
}

// Post keeps what the client posts for the loop.
func (g *stage) Post(_ int, f func()) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.posts = append(g.posts, f)
	return nil
}

func newStage(t testing.TB, cfg ClientConfig) *stage {
	t.Helper()
	if cfg.Targets == nil {
		cfg.Targets = []conn.Addr{conn.Unix("/1")}
	}
	g := &stage{t: t, c: NewClient(nil, cfg)}
	g.c.post = g
	g.c.dial = func(a *attempt) {
		a.cancel = func() {}
		g.dials = append(g.dials, a)
	}
	t.Cleanup(g.end)
	return g
}

// end loses all connections; nothing may be left.
func (g *stage) end() {
	for g.dial() != nil {
		g.fail()
	}
	over := make(chan struct{})
	go func() { g.c.Close(); close(over) }()
	for late, open := time.Now().Add(longest), true; open; {
		if time.Now().After(late) {
			g.t.Fatalf("it does not end: %+v", g.c.Stats())
		}
		g.settle()
		for g.dial() != nil {
			g.fail()
		}
		for _, f := range g.fars {
			f.lose()
		}
		select {
		case <-over:
			open = false
		case <-time.After(time.Millisecond):
		}
	}
	s := g.c.Stats()
	if s.Calls != 0 || s.Waiting != 0 || s.Conns != 0 || s.Sessions != 0 || s.Streams != 0 || s.Held != 0 || g.c.limbo.held.Load() != 0 {
		g.t.Errorf("at the end: %+v, %d bytes in limbo", s, g.c.limbo.held.Load())
	}
	for i, f := range g.fars {
		if f.s.held.Load() != 0 || f.l.heap.Len() != 0 {
			g.t.Errorf("connection %d at the end: %d bytes held, %d timers", i+1, f.s.held.Load(), f.l.heap.Len())
		}
	}
}

// settle does all that pokes and posts ask for.
func (g *stage) settle() {
	for again := true; again; {
		again = false
		g.mu.Lock()
		posts := g.posts
		g.posts = nil
		g.mu.Unlock()
		for _, f := range posts {
			f()
			again = true
		}
		for _, f := range g.fars {
			select {
			case <-f.l.poked:
				if !f.lost {
					f.s.Poked()
				}
				again = true
			default:
			}
		}
	}
}

// dial returns the dial that waits, nil if none does.
func (g *stage) dial() *attempt {
	if len(g.dials) == 0 {
		return nil
	}
	return g.dials[0]
}

// fail lets the dial fail.
func (g *stage) fail() {
	a := g.dials[0]
	g.dials = g.dials[1:]
	a.fail(fmt.Errorf("%v is not there", a.target))
	g.settle()
}

// connect lets the dial succeed; the server sends SETTINGS.
func (g *stage) connect(settings ...h2.Setting) *far {
	g.t.Helper()
	if g.dial() == nil {
		g.t.Fatal("nobody dials")
	}
	a := g.dials[0]
	g.dials = g.dials[1:]
	f := newFar(g)
	f.s = a.attach(f.l)
	g.fars = append(g.fars, f)
	f.l.out = f.l.out[len(h2.Preface):]
	f.feed(h2.AppendSettings(nil, settings...))
	return f
}

func newFar(g *stage) *far {
	f := &far{g: g, l: &fakeLink{room: -1, now: 1, poked: make(chan struct{}, 1)}, answered: make(map[uint32]bool)}
	f.dec = hpack.NewDecoder(4096, nil)
	return f
}

// limit is SETTINGS_MAX_CONCURRENT_STREAMS.
func limit(n uint32) h2.Setting {
	return h2.Setting{ID: h2.SettingMaxConcurrentStreams, Value: n}
}

// start starts a call with callbacks.
func (g *stage) start(path string, o CallOptions) (*Stream, *teller) {
	g.t.Helper()
	h := newTeller()
	st, err := g.c.Start(path, o, h)
	if err != nil {
		g.t.Fatal(err)
	}
	g.settle()
	return st, h
}

// far is the server's end of a connection.
type far struct {
	g    *stage
	l    *fakeLink
	s    *Session
	dec  *hpack.Decoder
	in   []byte
	lost bool

	answered map[uint32]bool // streams that have had their header
}

func (f *far) feed(b []byte) error {
	f.in = append(f.in, b...)
	n, err := f.s.Feed(f.in)
	f.in = append(f.in[:0], f.in[n:]...)
	f.g.settle()
	return err
}

func (f *far) lose() {
	if !f.lost {
		f.lost = true
		f.s.Lost(nil)
		f.g.settle()
	}
}

// heard tells what has come since the last time: only of streams, one line each.
func (f *far) heard() (all []string) {
	b := f.l.out
	for len(b) >= h2.HeaderLen {
		h := h2.ParseHeader(b)
		p := b[h2.HeaderLen : h2.HeaderLen+int(h.Length)]
		b = b[h2.HeaderLen+int(h.Length):]
		end := ""
		if (h.Type == h2.FrameData || h.Type == h2.FrameHeaders) && h.Flags.Has(h2.FlagEndStream) {
			end = " end"
		}
		switch h.Type {
		case h2.FrameHeaders:
			fields, err := f.dec.DecodeFull(p)
			if err != nil {
				f.g.t.Fatal(err)
			}
			all = append(all, fmt.Sprintf("open %d %s%s", h.Stream, fieldNamed(fields, ":path"), end))
		case h2.FrameData:
			all = append(all, fmt.Sprintf("data %d %q%s", h.Stream, strings.TrimLeft(string(p), "\x00"), end))
		case h2.FrameRSTStream:
			all = append(all, fmt.Sprintf("reset %d %v", h.Stream, h2.Code(p[3])))
		case h2.FrameGoAway:
			all = append(all, "goaway")
		}
	}
	f.l.out = append(f.l.out[:0], b...)
	return all
}

// hears fails when something else than want has come.
func (f *far) hears(want ...string) {
	f.g.t.Helper()
	if got := f.heard(); !slices.Equal(got, want) {
		f.g.t.Fatalf("the server hears %q, want %q", got, want)
	}
}

func fieldNamed(fields []hpack.HeaderField, name string) string {
	for _, f := range fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// block is a header block of pairs.
func block(pairs ...string) (b []byte) {
	for i := 0; i+1 < len(pairs); i += 2 {
		b = h2.AppendField(b, pairs[i], pairs[i+1])
	}
	return b
}

func (f *far) headers(id uint32, end bool, pairs ...string) error {
	return f.feed(h2.AppendHeaders(nil, id, block(pairs...), end, h2.MinMaxFrame))
}

// answer sends the header, and a message if there is one.
func (f *far) answer(id uint32, m string) {
	f.answered[id] = true
	f.headers(id, false, ":status", "200", "content-type", "application/grpc")
	if m != "" {
		f.feed(h2.AppendData(nil, id, message(m), false))
	}
}

// finish sends trailers or, before a header, the status alone.
func (f *far) finish(id uint32, code string) {
	if f.answered[id] {
		f.headers(id, true, "grpc-status", code)
	} else {
		f.headers(id, true, ":status", "200", "content-type", "application/grpc", "grpc-status", code)
	}
}

func (f *far) refuse(id uint32) { f.feed(h2.AppendRSTStream(nil, id, h2.RefusedStream)) }

// pass lets time pass.
func (f *far) pass(d time.Duration) {
	f.l.now = f.l.now.Add(d)
	f.l.heap.Advance(f.l.now)
	f.g.settle()
}

// ended returns how a call with callbacks has ended; "" when it has not.
func (x *teller) ended() string {
	select {
	case err := <-x.closed:
		x.closed <- err
		return fmt.Sprint(StatusOf(err).Code)
	default:
		return ""
	}
}
