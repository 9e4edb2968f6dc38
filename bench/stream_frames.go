package main

import (
	"fmt"
	"runtime"
	"time"

	"github.com/weir-go/weir/internal/h2"
)

// framesJob is to read DATA frames with messages of a size, as a server's session does.
type framesJob struct {
	Size int
	For  time.Duration
}

type framesResult struct{ Nanos, Allocs float64 }

// framed is a server that gives credit for what it is shown, and nothing else.
type framed struct {
	core  h2.Core[*h2stream]
	bytes int
}

type h2stream struct {
	h2.Stream[*h2stream]
}

func (f *framed) Request(*h2.Block, bool) {
	st := &h2stream{}
	st.Owner = st
	f.core.Accept(&st.Stream)
}

func (f *framed) Data(st *h2.Stream[*h2stream], p []byte, _ bool) {
	f.bytes += len(p)
	f.core.Consume(st, len(p))
	f.core.ConsumeConn(len(p))
}

func (*framed) Headers(*h2.Stream[*h2stream], *h2.Block, bool)     {}
func (*framed) Reset(*h2.Stream[*h2stream], h2.Code, bool, string) {}
func (*framed) Window(*h2.Stream[*h2stream])                       {}
func (*framed) Settings(*h2.PeerSettings)                          {}
func (*framed) Ping([8]byte, bool)                                 {}
func (*framed) GoAway(uint32, h2.Code, []byte)                     {}

const framesAtOnce = 100

func (j framesJob) run() (r framesResult, err error) {
	f := &framed{}
	f.core.Start(h2.NewLimits(h2.Config{MaxStreams: 1 << 20}), f)
	in := h2.AppendSettings([]byte(h2.Preface))
	var e h2.Encoder
	for i := range framesAtOnce {
		var block []byte
		for _, p := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", bidiPath}, {":authority", "localhost"},
			{"content-type", "application/grpc"}, {"te", "trailers"}} {
			block = e.Append(block, p[0], p[1], false)
		}
		in = h2.AppendHeaders(in, uint32(2*i+1), block, false, h2.MinMaxFrame)
	}
	if _, err := f.core.Feed(1, in); err != nil {
		return r, err
	}
	in = in[:0]
	for i := range framesAtOnce {
		in = h2.AppendData(in, uint32(2*i+1), make([]byte, j.Size+9), false)
	}
	frames := 0
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	for time.Since(began) < j.For {
		for range 10 {
			f.core.Out = f.core.Out[:0]
			if _, err := f.core.Feed(2, in); err != nil {
				return r, err
			}
			frames += framesAtOnce
		}
	}
	r.Nanos = float64(time.Since(began)) / float64(frames)
	runtime.ReadMemStats(&after)
	r.Allocs = float64(after.Mallocs-before.Mallocs) / float64(frames)
	return r, nil
}

// streamFrames is what reading a frame costs, in a process of its own.
func streamFrames(b *bench, _ map[string]string) error {
	b.names["frames"] = "Reading DATA frames, a hundred streams in turn"
	var subjects []subject
	for _, size := range []int{64, 1024} {
		id := fmt.Sprintf("data-%d", size)
		b.names[id] = fmt.Sprintf("DATA, a message of %d B", size)
		subjects = append(subjects, subject{id: id})
	}
	return b.interleave("frames", subjects, b.rounds, func(s subject) (*figures, error) {
		j := framesJob{For: b.window / 8, Size: 64}
		if s.id == "data-1024" {
			j.Size = 1024
		}
		var r framesResult
		use, err := b.ask(b.inProbe("frames"), j, &r, time.Minute)
		if err != nil {
			return nil, err
		}
		return &figures{disturbed: use.Disturbed(), values: map[string]float64{
			"frame": r.Nanos, "allocs_per_frame": r.Allocs}}, nil
	})
}
