package h2

import (
	"fmt"
	"runtime"
	"testing"
	"unsafe"
)

// mute is a sink that does nothing but give credit, to measure the Core.
type mute struct {
	core  Core[*flow]
	bytes int
	st    *flow
}

func (m *mute) Request(*Block, bool) {
	m.st = &flow{}
	m.st.Owner = m.st
	m.core.Accept(&m.st.Stream)
}
func (m *mute) Headers(*Stream[*flow], *Block, bool) {}
func (m *mute) Data(st *Stream[*flow], p []byte, _ bool) {
	m.bytes += len(p)
	m.core.Consume(st, len(p))
	m.core.ConsumeConn(len(p))
}
func (m *mute) Reset(*Stream[*flow], Code, bool, string) {}
func (m *mute) Window(*Stream[*flow])                    {}
func (m *mute) Settings(*PeerSettings)                   {}
func (m *mute) Ping([8]byte, bool)                       {}
func (m *mute) GoAway(uint32, Code, []byte)              {}

// grpcRequest is what grpc-go's client begins a call with.
func grpcRequest(e *Encoder) (block []byte) {
	for _, f := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", "/grpc.testing.BenchmarkService/StreamingCall"},
		{":authority", "127.0.0.1:50051"}, {"content-type", "application/grpc"},
		{"user-agent", "grpc-go/1.85.0"}, {"te", "trailers"}, {"grpc-timeout", "5S"},
	} {
		block = e.Append(block, f[0], f[1], false)
	}
	return block
}

// newMute is a server with so many open streams, and its sink.
func newMute(tb testing.TB, streams int) *mute {
	m := &mute{}
	m.core.Start(NewLimits(Config{MaxStreams: 1 << 30}), m)
	p := AppendSettings([]byte(Preface))
	var e Encoder
	for i := range streams {
		p = AppendHeaders(p, uint32(2*i+1), grpcRequest(&e), false, MinMaxFrame)
	}
	if _, err := m.core.Feed(1, p); err != nil {
		tb.Fatal(err)
	}
	m.core.Out = make([]byte, 0, 64<<10)
	return m
}

// BenchmarkData is the cost of one DATA frame: header, rules, windows, finding
// the stream among a hundred, and showing the payload.
func BenchmarkData(b *testing.B) {
	for _, size := range []int{70, 1030, 16384} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			const frames = 100
			m := newMute(b, frames)
			var p []byte
			for i := range frames {
				p = AppendData(p, uint32(2*i+1), make([]byte, size), false)
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for i := 0; i < b.N; i += frames {
				m.core.Out = m.core.Out[:0]
				if _, err := m.core.Feed(2, p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkHeader is the frame's header alone.
func BenchmarkHeader(b *testing.B) {
	p := AppendDataHeader(nil, 12345, 70, false)
	sum := uint32(0)
	for b.Loop() {
		sum += ParseHeader(p).Length
	}
	_ = sum
}

// BenchmarkRequest is a call's beginning and end: eight indexed fields in,
// response and trailers out.
func BenchmarkRequest(b *testing.B) {
	m := newMute(b, 1)
	var e Encoder
	grpcRequest(&e)
	block := grpcRequest(&e) // all of it is in the table by now
	headers := AppendField(AppendIndexed(nil, IndexStatus200), "content-type", "application/grpc")
	trailers := AppendField(nil, "grpc-status", "0")
	id := uint32(3)
	var in []byte
	b.ReportAllocs()
	for b.Loop() {
		in = AppendHeaders(in[:0], id, block, true, MinMaxFrame)
		m.core.Out = m.core.Out[:0]
		if _, err := m.core.Feed(2, in); err != nil {
			b.Fatal(err)
		}
		m.core.SendHeaders(&m.st.Stream, headers, false)
		m.core.SendHeaders(&m.st.Stream, trailers, true)
		m.core.Release(&m.st.Stream)
		id += 2
	}
}

// BenchmarkSend is one DATA frame out.
func BenchmarkSend(b *testing.B) {
	m := newMute(b, 1)
	msg := make([]byte, 70)
	b.ReportAllocs()
	for b.Loop() {
		if m.core.Quota(&m.st.Stream) < len(msg) {
			m.core.sendWindow, m.st.sendGain = MaxWindow, MaxWindow-InitialWindow
		}
		m.core.Out = m.core.Out[:0]
		m.core.SendData(&m.st.Stream, msg, false)
	}
}

// BenchmarkMessage is one gRPC message cut out of DATA: in one piece, and put
// together from two.
func BenchmarkMessage(b *testing.B) {
	p := append(AppendPrefix(nil, false, 64), make([]byte, 64)...)
	b.Run("whole", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, n, err := NextMessage(p, 1<<20); n != len(p) || err != nil {
				b.Fatal(n, err)
			}
		}
	})
	b.Run("split", func(b *testing.B) {
		var a Assembler
		b.ReportAllocs()
		for b.Loop() {
			a.Add(p[:30], 1<<20)
			if _, done, err := a.Add(p[30:], 1<<20); !done || err != nil {
				b.Fatal(err)
			}
			a.Reset()
		}
	})
}

// BenchmarkStreams is what many streams cost in memory, without their owner's
// part: B/stream.
func BenchmarkStreams(b *testing.B) {
	const many = 50_000
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		m := newMute(b, many)
		m.core.Out = nil
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/many, "B/stream")
		runtime.KeepAlive(m)
	}
}

// TestSizes holds what a stream and a connection cost besides their owner's own.
func TestSizes(t *testing.T) {
	if n := unsafe.Sizeof(Stream[*flow]{}); n > 40 {
		t.Errorf("a Stream takes %d bytes", n)
	}
	if n := unsafe.Sizeof(Core[*flow]{}); n > 352 {
		t.Errorf("a Core takes %d bytes", n)
	}
	if n := unsafe.Sizeof(Assembler{}); n > 48 {
		t.Errorf("an Assembler takes %d bytes", n)
	}
}

// TestAllocs holds what is promised to cost no allocation.
func TestAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool forgets at random under -race")
	}
	m := newMute(t, 8)
	var e Encoder
	grpcRequest(&e)
	data := AppendData(nil, 1, make([]byte, 100), false)
	data = AppendData(data, 3, make([]byte, 9000), false)
	data = append(data, 0, 0, 9, 0, byte(FlagPadded), 0, 0, 0, 5, 3, 1, 2, 3, 4, 5, 0, 0, 0)
	others := AppendPing(AppendWindowUpdate(nil, 1, 1000), false, [8]byte{})
	others = AppendWindowUpdate(others, 0, 1000)
	others = AppendPing(others, true, [8]byte{})
	headers := AppendField(AppendIndexed(nil, IndexStatus200), "content-type", "application/grpc")
	msg := append(AppendPrefix(nil, true, 90), make([]byte, 90)...)
	var a Assembler
	now := int64(2)
	for _, c := range []struct {
		what string
		f    func()
	}{
		{"DATA", func() { m.core.Feed(now, data) }},
		{"DATA in pieces", func() {
			for p := data; len(p) > 0; {
				n, _ := m.core.Feed(now, p[:min(len(p), 500)])
				p = p[max(n, 1):]
			}
		}},
		{"other frames", func() { m.core.Feed(now, others) }},
		{"sending", func() {
			m.core.SendHeaders(&m.st.Stream, headers, false)
			m.core.SendData(&m.st.Stream, msg, false)
			m.core.SendDataHeader(&m.st.Stream, 0, false)
			m.core.Ping([8]byte{})
		}},
		{"cutting", func() { NextMessage(msg, 1000) }},
		{"assembling", func() { a.Add(msg[:10], 1000); a.Add(msg[10:], 1000); a.Reset() }},
	} {
		n := testing.AllocsPerRun(200, func() {
			m.core.Out = m.core.Out[:0]
			now += 1e9 // the buckets are full again
			m.core.sendWindow, m.st.sendGain = InitialWindow, 0
			c.f()
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", c.what, n)
		}
		if err := m.core.Err(); err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
	}
}
