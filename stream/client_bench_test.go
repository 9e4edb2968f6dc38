package stream

import (
	"context"
	"io"
	"testing"
)

// BenchmarkClientUnary is one call at a time over loopback, client and server in
// one process.
func BenchmarkClientUnary(b *testing.B) {
	p := newCouple(b, Config{}, ClientConfig{}, answers())
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := invoke(ctx, p.cli, "/c/Unary", "hello", CallOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkClientPingPong is one message each way on a stream that is open.
func BenchmarkClientPingPong(b *testing.B) {
	p := newCouple(b, Config{}, ClientConfig{}, answers())
	st, err := p.cli.Call(context.Background(), "/c/Talk", CallOptions{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		st.SendWait(bufferOf("hello"))
		if _, err := st.Recv(); err != nil {
			b.Fatal(err)
		}
	}
	st.CloseSend()
	if _, err := st.Recv(); err != io.EOF {
		b.Fatal(err)
	}
}

type bouncer struct {
	n    int
	over chan error
}

func (x *bouncer) Message(st *Stream, m []byte) error {
	if x.n--; x.n <= 0 {
		return st.CloseSend()
	}
	return st.Emit(m[4:])
}

func (x *bouncer) Closed(_ *Stream, err error) { x.over <- err }

// BenchmarkClientCallbacks is the same with callbacks.
func BenchmarkClientCallbacks(b *testing.B) {
	p := newCouple(b, Config{}, ClientConfig{}, answers())
	x := &bouncer{n: b.N, over: make(chan error)}
	b.ReportAllocs()
	b.ResetTimer()
	st, err := p.cli.Start("/c/Talk", CallOptions{}, x)
	if err != nil {
		b.Fatal(err)
	}
	st.Send([]byte("hello"))
	if err := <-x.over; err != nil {
		b.Fatal(err)
	}
}
