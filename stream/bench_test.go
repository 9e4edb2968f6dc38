package stream

import (
	"runtime"
	"testing"

	"github.com/weir-go/weir/internal/h2"
)

// echo echoes by callbacks.
type echo struct{}

func (echo) Message(st *Stream, m []byte) error { return st.Emit(m) }
func (echo) HalfClosed(st *Stream) error        { st.Finish(nil); return nil }
func (echo) Closed(*Stream, error)              {}

// sender echoes with Send, as any goroutine could.
type sender struct{ echo }

func (sender) Message(st *Stream, m []byte) error { return st.Send(m) }

func echoes(s *Server) {
	s.Handle("/e.E/Open", Method{Open: func(*Stream) (Handler, error) { return echo{}, nil }})
	s.Handle("/e.E/Send", Method{Open: func(*Stream) (Handler, error) { return sender{}, nil }})
	s.Handle("/e.E/Unary", Method{Unary: func(_ *Stream, m []byte) ([]byte, error) { return m, nil }})
}

// pingPong is a message on each of many streams in one Feed, and the peer's
// credit for the answers.
func pingPong(t testing.TB, path string, streams, size int) (turn func()) {
	p := newPeer(t, Config{MaxStreams: streams + 1}, echoes)
	p.greet(h2.Setting{ID: h2.SettingInitialWindowSize, Value: 1 << 30})
	p.feed(h2.AppendWindowUpdate(nil, 0, 1<<30))
	m := message(string(make([]byte, size)))
	var in []byte
	for range streams {
		in = h2.AppendData(in, p.open(path, false), m, false)
	}
	in = h2.AppendWindowUpdate(in, 0, uint32(streams*len(m)))
	for i := range streams {
		in = h2.AppendWindowUpdate(in, uint32(2*i+1), uint32(len(m)))
	}
	return func() {
		p.l.out = p.l.out[:0]
		if n, err := p.s.Feed(in); n != len(in) || err != nil {
			t.Fatal(n, err)
		}
	}
}

// No message allocates on the way in, through a callback, and out.
func TestCallbacksAllocateNothing(t *testing.T) {
	for _, path := range []string{"/e.E/Open", "/e.E/Send"} {
		for _, size := range []int{0, 64, 1024, 10_000} {
			if underRace && path == "/e.E/Send" {
				continue // sync.Pool drops at random under the race detector
			}
			turn := pingPong(t, path, 20, size)
			turn()
			if n := testing.AllocsPerRun(100, turn); n >= 1 {
				t.Errorf("%s, %d bytes: %v allocations for 20 messages", path, size, n)
			}
		}
	}
}

func BenchmarkEcho(b *testing.B) {
	for _, c := range []struct {
		name, path string
		size       int
	}{{"emit-64", "/e.E/Open", 64}, {"emit-1K", "/e.E/Open", 1024}, {"send-64", "/e.E/Send", 64}} {
		b.Run(c.name, func(b *testing.B) {
			const streams = 100
			turn := pingPong(b, c.path, streams, c.size)
			turn()
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				turn()
				n += streams
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/msg")
		})
	}
}

func BenchmarkUnary(b *testing.B) {
	p := newPeer(b, Config{}, echoes)
	p.greet(h2.Setting{ID: h2.SettingInitialWindowSize, Value: 1 << 30})
	block, m := header("/e.E/Unary"), message(string(make([]byte, 64)))
	b.ReportAllocs()
	for b.Loop() {
		p.scratch = h2.AppendHeaders(p.scratch[:0], p.next, block, false, h2.MinMaxFrame)
		p.scratch = h2.AppendData(p.scratch, p.next, m, true)
		p.scratch = h2.AppendWindowUpdate(p.scratch, 0, uint32(len(m)))
		p.next += 2
		p.l.out = p.l.out[:0]
		if _, err := p.s.Feed(p.scratch); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIdle is the memory of a stream that has had one message each way.
func BenchmarkIdle(b *testing.B) {
	const n = 50_000
	for b.Loop() {
		p := newPeer(b, Config{MaxStreams: n}, echoes)
		p.greet(h2.Setting{ID: h2.SettingInitialWindowSize, Value: 1 << 20})
		before := heapInUse()
		for range n {
			p.data(p.open("/e.E/Open", false), message("hello"), false)
			p.feed(h2.AppendWindowUpdate(nil, 0, 10))
			p.l.out = p.l.out[:0]
		}
		b.ReportMetric(float64(heapInUse()-before)/n, "B/stream")
		p.s.Lost(nil)
	}
}

func heapInUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Buffers that begin small and grow, and small ones whose storage comes from
// elsewhere, go round as others do.
func TestBuffersGoRound(t *testing.T) {
	if underRace {
		t.Skip("sync.Pool drops at random under the race detector")
	}
	long := make([]byte, 2*smallSize)
	for what, one := range map[string]func() *Buffer{
		"small":     func() *Buffer { return NewBuffer(64) },
		"large":     func() *Buffer { return NewBuffer(smallSize) },
		"grown":     func() *Buffer { b := NewBuffer(0); b.Append(long); return b },
		"assembled": func() *Buffer { return assembled(storage(64), false) },
		"the same":  func() *Buffer { return assembled(storage(smallSize+1), false) },
	} {
		if n := testing.AllocsPerRun(1000, func() { one().Release() }); n >= 1 {
			t.Errorf("%s: %v allocations each", what, n)
		}
	}
}
