package interop

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/weir-go/weir/stream"
)

// pusher sends n numbered messages of size bytes to whoever calls, as fast as
// they are taken.
type pusher struct {
	n, size, next int
	p             []byte
}

func (p *pusher) push(st *stream.Stream) {
	for ; p.next < p.n; p.next++ {
		binary.BigEndian.PutUint32(p.p, uint32(p.next))
		if st.Emit(p.p) != nil {
			return
		}
	}
	st.Finish(nil)
}

func (p *pusher) Message(st *stream.Stream, m []byte) error { p.push(st); return nil }
func (p *pusher) Drained(st *stream.Stream)                 { p.push(st) }
func (p *pusher) Closed(*stream.Stream, error)              {}

// pushes registers servers of many messages, in both forms.
func pushes(n, size int) func(s *stream.Server) {
	return func(s *stream.Server) {
		s.Handle("/push.Push/Open", stream.Method{Open: func(*stream.Stream) (stream.Handler, error) {
			return &pusher{n: n, size: size, p: make([]byte, size)}, nil
		}})
		s.Handle("/push.Push/Go", stream.Method{Await: true, Go: func(st *stream.Stream) error {
			for i := range n {
				b := stream.NewBuffer(size)
				binary.BigEndian.PutUint32(b.Bytes(), uint32(i))
				if err := st.SendWait(b); err != nil {
					return err
				}
			}
			return nil
		}})
	}
}

// Everything arrives, in order, whatever the windows are.
func TestStreamPush(t *testing.T) {
	const n = 3000
	for _, size := range []int{64, 1000, 40_000} {
		_, addr := streamServer(t, stream.Config{}, pushes(n, size))
		for _, window := range []int32{65536, 1 << 20} {
			cc := grpcClient(t, addr, grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window))
			for _, m := range []string{"Open", "Go"} {
				cs := open(t, within(t), cc, "/push.Push/"+m)
				sendRaw(cs, []byte("go"))
				for i := range n {
					got, err := recvRaw(cs)
					if err != nil || len(got) != size || binary.BigEndian.Uint32(got) != uint32(i) {
						t.Fatalf("%s, %d bytes: message %d: %d bytes, %v", m, size, i, len(got), err)
					}
				}
				if _, err := recvRaw(cs); err != io.EOF {
					t.Errorf("%s, %d bytes: ends with %v", m, size, err)
				}
			}
		}
	}
}

// The client's stream is counted by callbacks and by a goroutine.
func TestStreamClientStreaming(t *testing.T) {
	_, addr := streamServer(t, stream.Config{}, func(s *stream.Server) {
		s.Handle("/sum.Sum/Go", stream.Method{Go: func(st *stream.Stream) error {
			n := 0
			for {
				m, err := st.Recv()
				if err == io.EOF {
					return st.Send(binary.BigEndian.AppendUint32(nil, uint32(n)))
				}
				if err != nil {
					return err
				}
				n += len(m)
			}
		}})
		s.Handle("/sum.Sum/Open", stream.Method{Open: func(*stream.Stream) (stream.Handler, error) { return &summer{}, nil }})
	})
	cc := grpcClient(t, addr)
	for _, m := range []string{"Go", "Open"} {
		cs := open(t, within(t), cc, "/sum.Sum/"+m)
		want := 0
		for i := range 2000 {
			if err := sendRaw(cs, make([]byte, i)); err != nil {
				t.Fatal(m, err)
			}
			want += i
		}
		cs.CloseSend()
		got, err := recvRaw(cs)
		if err != nil || int(binary.BigEndian.Uint32(got)) != want {
			t.Errorf("%s: %v, %v; want %d", m, got, err, want)
		}
		if _, err := recvRaw(cs); err != io.EOF {
			t.Errorf("%s: ends with %v", m, err)
		}
	}
}

type summer struct{ n int }

func (s *summer) Message(_ *stream.Stream, m []byte) error { s.n += len(m); return nil }
func (s *summer) Closed(*stream.Stream, error)             {}
func (s *summer) HalfClosed(st *stream.Stream) error {
	st.Emit(binary.BigEndian.AppendUint32(nil, uint32(s.n)))
	st.Finish(nil)
	return nil
}

func TestStreamMetadata(t *testing.T) {
	const lost = "100 % lost: ü\n"
	type seen struct{ md stream.Metadata }
	got := make(chan seen, 8)
	answer := stream.Metadata{{Key: "answer", Value: "yes"}, {Key: "raw-bin", Value: "\x00\xff,"}}
	_, addr := streamServer(t, stream.Config{}, func(s *stream.Server) {
		serve := func(st *stream.Stream) error {
			got <- seen{st.Header()}
			err := errors.Join(st.SetHeader(answer[:1]), st.SetHeader(answer[1:]), st.SetTrailer(stream.Metadata{{Key: "end", Value: "1"}}))
			if err != nil {
				return err
			}
			return &stream.Status{Code: stream.DataLoss, Message: lost, Details: append([]byte{8, 15, 18, byte(len(lost))}, lost...)}
		}
		s.Handle("/md.Md/Go", stream.Method{Go: func(st *stream.Stream) error {
			if err := st.SetHeader(stream.Metadata{{Key: "grpc-status", Value: "3"}}); err == nil {
				t.Error("reserved metadata was taken")
			}
			return serve(st)
		}})
		s.Handle("/md.Md/Unary", stream.Method{Unary: func(st *stream.Stream, _ []byte) ([]byte, error) { return nil, serve(st) }})
		s.Handle("/md.Md/Late", stream.Method{Go: func(st *stream.Stream) error {
			if err := st.SendHeader(answer); err != nil {
				return err
			}
			if err := st.SetHeader(answer); !errors.Is(err, stream.ErrHeader) {
				t.Errorf("a header after the header: %v", err)
			}
			return serveLate(st)
		}})
	})
	cc := grpcClient(t, addr)
	for _, m := range []string{"Go", "Unary"} {
		ctx := metadata.AppendToOutgoingContext(within(t), "a", "1", "a", "2", "b-bin", "\x01\x02\xff", "b-bin", "")
		var h, tr metadata.MD
		_, err := unary(ctx, cc, "/md.Md/"+m, nil, grpc.Header(&h), grpc.Trailer(&tr))
		s := status.Convert(err)
		if s.Code() != codes.DataLoss || s.Message() != lost {
			t.Errorf("%s: %v", m, err)
		}
		in := (<-got).md
		if v := strings.Join(in.Values("a"), " "); v != "1 2" {
			t.Errorf("%s: a is %q", m, v)
		}
		if v := in.Values("b-bin"); len(v) != 2 || v[0] != "\x01\x02\xff" || v[1] != "" {
			t.Errorf("%s: b-bin is %q", m, v)
		}
		if _, ok := in.Value("te"); ok {
			t.Errorf("%s: te is shown", m)
		}
		// All is in the trailers of an answer that has nothing else.
		if v := tr.Get("end"); len(v) != 1 || v[0] != "1" {
			t.Errorf("%s: trailer %v, header %v", m, tr, h)
		}
	}
	cs := open(t, within(t), cc, "/md.Md/Late")
	h, err := cs.Header()
	if err != nil || h.Get("answer")[0] != "yes" || h.Get("raw-bin")[0] != "\x00\xff," {
		t.Errorf("header %v, %v", h, err)
	}
	sendRaw(cs, nil)
	if _, err := recvRaw(cs); err != io.EOF {
		t.Errorf("ends with %v", err)
	}
}

// serveLate waits for a message, so that the header goes alone.
func serveLate(st *stream.Stream) error {
	_, err := st.Recv()
	return endOf(err)
}

func TestStreamDeadline(t *testing.T) {
	ends := make(chan error, 8)
	srv, addr := streamServer(t, stream.Config{}, func(s *stream.Server) {
		echoes(s)
		s.Handle("/dl.Dl/Go", stream.Method{Go: func(st *stream.Stream) error {
			ctx := st.Context()
			if _, ok := ctx.Deadline(); !ok {
				t.Error("no deadline")
			}
			child, cancel := context.WithCancel(ctx)
			defer cancel()
			<-child.Done()
			ends <- ctx.Err()
			return nil
		}})
		s.Handle("/dl.Dl/Open", stream.Method{Open: func(*stream.Stream) (stream.Handler, error) { return closer(ends), nil }})
	})
	cc := grpcClient(t, addr)
	for _, m := range []string{"Go", "Open"} {
		for d, seen := 50*time.Millisecond, false; !seen; d *= 2 {
			seen = runsOut(t, srv, cc, "/dl.Dl/"+m, d)
		}
		// The client cancels at its deadline: either may come first.
		if err := <-ends; !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: the server's end: %v", m, err)
		}
	}
}

// runsOut opens a stream that runs out of its time, and returns whether the
// server has seen it: on a busy machine the time may be over before it is sent.
func runsOut(t *testing.T, srv *stream.Server, cc *grpc.ClientConn, method string, d time.Duration) bool {
	t.Helper()
	before := srv.Stats().Opened
	ctx, cancel := context.WithTimeout(within(t), d)
	defer cancel()
	cs, err := cc.NewStream(ctx, bidi, method)
	if err == nil {
		_, err = recvRaw(cs)
	}
	if status.Code(err) != codes.DeadlineExceeded {
		t.Fatalf("%s: %v", method, err)
	}
	// A call on the same connection comes after it.
	if _, err := unary(within(t), cc, "/echo.Echo/Unary", nil); err != nil {
		t.Fatal(err)
	}
	return srv.Stats().Opened == before+2
}

// closer tells how a stream ends.
type closer chan error

func (c closer) Message(*stream.Stream, []byte) error { return nil }
func (c closer) Closed(_ *stream.Stream, err error)   { c <- err }

func TestStreamCancel(t *testing.T) {
	ends, open1 := make(chan error, 8), make(chan struct{}, 8)
	srv, addr := streamServer(t, stream.Config{}, func(s *stream.Server) {
		s.Handle("/c.C/Go", stream.Method{Go: func(st *stream.Stream) error {
			open1 <- struct{}{}
			_, err := st.Recv()
			if ctxErr := st.Context().Err(); ctxErr != context.Canceled {
				t.Errorf("the context says %v", ctxErr)
			}
			ends <- err
			return err
		}})
		s.Handle("/c.C/Open", stream.Method{Open: func(*stream.Stream) (stream.Handler, error) {
			open1 <- struct{}{}
			return closer(ends), nil
		}})
	})
	cc := grpcClient(t, addr)
	for _, m := range []string{"Go", "Open"} {
		ctx, cancel := context.WithCancel(within(t))
		open(t, ctx, cc, "/c.C/"+m)
		<-open1
		cancel()
		if err := <-ends; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", m, err)
		}
	}
	// The end of the connection is the end of its streams.
	for _, m := range []string{"Go", "Open"} {
		cc := grpcClient(t, addr)
		open(t, within(t), cc, "/c.C/"+m)
		<-open1
		cc.Close()
		if err := <-ends; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: connection closed: %v", m, err)
		}
	}
	if s := srv.Stats(); s.Resets < 2 {
		t.Errorf("%d resets", s.Resets)
	}
}

func TestStreamCompression(t *testing.T) {
	_, addr := streamServer(t, stream.Config{MaxRecv: 1 << 20}, echoes)
	cc := grpcClient(t, addr)
	want := bytes.Repeat([]byte("all the same "), 5000)
	for _, m := range []string{"Unary", "Open", "Go"} {
		got, err := unary(within(t), cc, "/echo.Echo/"+m, want, grpc.UseCompressor(gzip.Name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", m, len(got), err)
		}
		// A bomb: small on the wire, larger than allowed when it is open.
		_, err = unary(within(t), cc, "/echo.Echo/"+m, make([]byte, 2<<20), grpc.UseCompressor(gzip.Name))
		if status.Code(err) != codes.ResourceExhausted {
			t.Errorf("%s: a bomb: %v", m, err)
		}
	}
}

func TestStreamSizes(t *testing.T) {
	_, addr := streamServer(t, stream.Config{MaxRecv: 1000, MaxSend: 500}, func(s *stream.Server) {
		echoes(s)
	})
	cc := grpcClient(t, addr)
	for _, m := range []string{"Unary", "Open", "Go"} {
		for n, want := range map[int]codes.Code{500: codes.OK, 501: codes.ResourceExhausted, 1001: codes.ResourceExhausted, 1 << 20: codes.ResourceExhausted} {
			if _, err := unary(within(t), cc, "/echo.Echo/"+m, make([]byte, n)); status.Code(err) != want {
				t.Errorf("%s: %d bytes: %v, want %v", m, n, err, want)
			}
		}
	}
}

// A stream lives on without its goroutine.
func TestStreamDetach(t *testing.T) {
	kept := make(chan *stream.Stream, 1)
	srv, addr := streamServer(t, stream.Config{}, func(s *stream.Server) {
		s.Handle("/d.D/Echo", stream.Method{Go: func(st *stream.Stream) error {
			m, err := st.Recv()
			if err != nil {
				return err
			}
			if err := st.Send(append([]byte("first "), m...)); err != nil {
				return err
			}
			return st.Detach(&echoer{})
		}})
		s.Handle("/d.D/Drop", stream.Method{Go: func(st *stream.Stream) error {
			kept <- st
			return st.Detach(nil)
		}})
	})
	cc := grpcClient(t, addr)
	cs := open(t, within(t), cc, "/d.D/Echo")
	for i := range 50 {
		sendRaw(cs, []byte{byte(i)})
	}
	if m, err := recvRaw(cs); err != nil || string(m) != "first \x00" {
		t.Fatalf("%q, %v", m, err)
	}
	for i := 1; i < 50; i++ {
		if m, err := recvRaw(cs); err != nil || len(m) != 1 || m[0] != byte(i) {
			t.Fatalf("message %d: %q, %v", i, m, err)
		}
	}
	cs.CloseSend()
	if _, err := recvRaw(cs); err != io.EOF {
		t.Errorf("ends with %v", err)
	}
	cs = open(t, within(t), cc, "/d.D/Drop")
	sendRaw(cs, []byte("nobody listens"))
	cs.CloseSend()
	st := <-kept
	if err := st.Send([]byte("but somebody talks")); err != nil {
		t.Error(err)
	}
	if m, err := recvRaw(cs); err != nil || string(m) != "but somebody talks" {
		t.Errorf("%q, %v", m, err)
	}
	st.Finish(nil)
	if _, err := recvRaw(cs); err != io.EOF {
		t.Errorf("ends with %v", err)
	}
	if s := srv.Stats(); s.Failed != 0 {
		t.Errorf("%d streams failed", s.Failed)
	}
}
