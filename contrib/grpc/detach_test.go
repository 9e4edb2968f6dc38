package grpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	stock "google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/weir-go/weir/contrib/grpc"
	"github.com/weir-go/weir/stream"
)

// watch opens a server-streaming call.
func watch(ctx context.Context, t testing.TB, cc *stock.ClientConn) testgrpc.TestService_StreamingOutputCallClient {
	t.Helper()
	cs, err := testgrpc.NewTestServiceClient(cc).StreamingOutputCall(ctx, &testpb.StreamingOutputCallRequest{})
	ok(t, err)
	return cs
}

func next(t testing.TB, cs testgrpc.TestService_StreamingOutputCallClient) string {
	t.Helper()
	m, err := cs.Recv()
	ok(t, err)
	return string(m.Payload.Body)
}

// A generated handler subscribes its client to a topic and returns: what it has
// set and sent comes first, then each message once and in order, then the
// topic's end. Its interceptors have wrapped the stream by then.
func TestSubscribe(t *testing.T) {
	var topic *stream.Topic
	subscribed := make(chan struct{}, 100)
	svc := &service{output: func(_ *testpb.StreamingOutputCallRequest, ss testgrpc.TestService_StreamingOutputCallServer) error {
		ss.SetHeader(metadata.Pairs("h", "1"))
		ss.SetTrailer(metadata.Pairs("t", "1"))
		if err := ss.Send(chunk("hello")); err != nil {
			return err
		}
		err := grpc.Subscribe(ss, topic, stream.SubOptions{Queue: 1024})
		subscribed <- struct{}{}
		return err
	}}
	wrap := func(srv any, ss stock.ServerStream, _ *stock.StreamServerInfo, h stock.StreamHandler) error {
		return h(srv, struct{ stock.ServerStream }{ss})
	}
	_, rt, addr := serve(t, grpc.Config{StreamInterceptors: []stock.StreamServerInterceptor{wrap}}, svc.register)
	topic = stream.NewTopic(rt, stream.TopicConfig{Ring: 2048})

	const streams, messages = 40, 300
	cc := dial(t, addr)
	ctx := within(t)
	var all []testgrpc.TestService_StreamingOutputCallClient
	for range streams {
		cs := watch(ctx, t, cc)
		want(t, next(t, cs), "hello")
		<-subscribed
		all = append(all, cs)
	}
	for i := range messages {
		seq, err := grpc.Publish(topic, chunk(fmt.Sprint(i)), "")
		ok(t, err)
		want(t, seq, uint64(i+1))
	}
	topic.Close(grpc.Status(detailed()))
	for _, cs := range all {
		for i := range messages {
			want(t, next(t, cs), fmt.Sprint(i))
		}
		_, err := cs.Recv()
		want(t, status.Code(err), codes.FailedPrecondition)
		want(t, len(status.Convert(err).Details()), 2)
		md, err := cs.Header()
		ok(t, err)
		want(t, strings.Join(md["h"], ","), "1")
		want(t, strings.Join(cs.Trailer()["t"], ","), "1")
	}
	// A topic that has been closed takes nobody.
	cs := watch(ctx, t, cc)
	want(t, next(t, cs), "hello")
	_, err := cs.Recv()
	want(t, status.Code(err), codes.Unavailable)
}

// Streams that were detached have no goroutines: their number does not grow with
// the streams'.
func TestDetachedHaveNoGoroutine(t *testing.T) {
	inside := make(chan *stream.Stream, 1)
	svc := &service{output: func(_ *testpb.StreamingOutputCallRequest, ss testgrpc.TestService_StreamingOutputCallServer) error {
		if err := grpc.Detach(ss, nil); err != nil {
			return err
		}
		inside <- grpc.StreamOf(ss)
		return nil
	}}
	srv, _, addr := serve(t, grpc.Config{}, svc.register)
	cc := dial(t, addr)
	ctx, cancel := context.WithCancel(within(t))
	const n = 300
	var kept []*stream.Stream
	var clients []testgrpc.TestService_StreamingOutputCallClient
	for range n {
		cs := watch(ctx, t, cc)
		st := <-inside
		kept, clients = append(kept, st), append(clients, cs)
		ok(t, st.Post(func(*stream.Stream) {}))
	}
	// The clients' side has goroutines, which are told apart by their code.
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	if k := strings.Count(string(stacks), "stream.(*workers).work"); k > 10 {
		t.Errorf("%d workers for %d detached streams", k, n)
	}
	// They are alive: one ends by our hand, the others by their client's.
	m, err := grpc.Encode(chunk("bye"))
	ok(t, err)
	ok(t, kept[7].SendMessage(m))
	m.Release()
	kept[7].Finish(stream.Statusf(stream.OutOfRange, "enough"))
	want(t, next(t, clients[7]), "bye")
	_, err = clients[7].Recv()
	want(t, status.Convert(err).Message(), "enough")
	want(t, srv.Core().Stats().Streams >= n-1, true)
	cancel()
	for i, cs := range clients {
		if _, err := cs.Recv(); i != 7 && status.Code(err) != codes.Canceled {
			t.Fatalf("stream %d ended with %v", i, err)
		}
	}
}

// talker echoes by callbacks.
type talker struct{ closed chan error }

func (*talker) Message(st *stream.Stream, m []byte) error { return st.Emit(m) }
func (*talker) HalfClosed(st *stream.Stream) error        { st.Finish(nil); return nil }
func (k *talker) Closed(_ *stream.Stream, err error)      { k.closed <- err }

// A stream of both sides goes on with callbacks; what the handler has not
// received is shown to them first.
func TestDetachToHandler(t *testing.T) {
	k := &talker{closed: make(chan error, 1)}
	svc := bidi(func(ss testgrpc.TestService_FullDuplexCallServer) error {
		if _, err := ss.Recv(); err != nil {
			return err
		}
		return grpc.Detach(ss, k)
	})
	_, _, addr := serve(t, grpc.Config{}, svc.register)
	cs, err := testgrpc.NewTestServiceClient(dial(t, addr)).FullDuplexCall(within(t))
	ok(t, err)
	for i := range 20 {
		// The bytes of a request's payload lie where those of an answer's do not:
		// only its length, which is a field of its own, is compared.
		ok(t, cs.Send(&testpb.StreamingOutputCallRequest{ResponseParameters: []*testpb.ResponseParameters{{Size: int32(i)}}}))
	}
	ok(t, cs.CloseSend())
	for i := 1; i < 20; i++ {
		m := new(testpb.StreamingOutputCallRequest)
		ok(t, cs.RecvMsg(m))
		want(t, m.ResponseParameters[0].Size, int32(i))
	}
	want(t, cs.RecvMsg(new(testpb.Empty)), io.EOF)
	want(t, <-k.closed, nil)
}

// A handler that detaches and fails is not detached; and only handlers may.
func TestDetachRefused(t *testing.T) {
	svc := bidi(func(ss testgrpc.TestService_FullDuplexCallServer) error {
		if err := grpc.Detach(ss, nil); err != nil {
			return err
		}
		return status.Error(codes.Aborted, "after all")
	})
	_, _, addr := serve(t, grpc.Config{}, svc.register)
	var d diary
	d.duplex(within(t), dial(t, addr), nil)
	if !strings.Contains(d.String(), "after all") {
		t.Fatalf("the call:\n%s", d.String())
	}
	foreign := bidi(func(ss testgrpc.TestService_FullDuplexCallServer) error {
		if err := grpc.Detach(ss, nil); !errors.Is(err, grpc.ErrForeign) {
			return fmt.Errorf("on grpc-go's server: %v", err)
		}
		return nil
	})
	var other diary
	other.duplex(within(t), dial(t, serveStock(t, foreign.register)), nil)
	if !strings.Contains(other.String(), "OK") {
		t.Fatalf("the call:\n%s", other.String())
	}
}
