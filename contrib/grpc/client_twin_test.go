package grpc_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	stock "google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/contrib/grpc"
	"github.com/weir-go/weir/stream"
)

// scarce is a shortage that streams are refused for.
func scarce(back time.Duration) bounds.Verdict {
	return bounds.Verdict{State: bounds.Shed, Resource: bounds.Descriptors, Back: back}
}

// twins is a client that follows, of a server that names the twin.
type twins struct {
	*grpc.ClientConn
	testgrpc.TestServiceClient
	short *shortOf

	mu      sync.Mutex
	changes []string
}

func newTwins(t *testing.T, s *service, v bounds.Verdict, set grpc.Twins) *twins {
	x := &twins{short: newShortOf(v)}
	_, _, addr := serve(t, grpc.Config{
		Config:  stream.Config{Admit: x.short},
		Methods: map[string]grpc.MethodOptions{outputName: {Twin: twinName}, duplexName: {Twin: twinName}},
	}, s.register)
	set.Changed = func(c grpc.TwinChange) {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.changes = append(x.changes, fmt.Sprint(c.Method, " ", c.Twin, " ", c.Resource))
	}
	x.ClientConn = newClient(t, addr, grpc.ClientConfig{Twins: &set, ClientConfig: stream.ClientConfig{Retry: stream.Retry{Times: 5}}})
	x.TestServiceClient = testgrpc.NewTestServiceClient(x.ClientConn)
	return x
}

func (x *twins) normal() { x.short.verdict.Store(&bounds.Verdict{}) }

func asked(s string) *testpb.StreamingOutputCallRequest {
	return &testpb.StreamingOutputCallRequest{Payload: &testpb.Payload{Body: []byte(s)}}
}

// numbered answers "unary 1", "unary 2" and so on, with what was asked.
func numbered(n *atomic.Int64) func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return func(_ context.Context, r *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		return text(fmt.Sprintf("%s: unary %d", r.Payload.Body, n.Add(1))), nil
	}
}

// A stream that is refused goes on with its twin, and is back when there is room;
// one that the server ends goes over, too. The caller's Recv sees messages.
func TestStreamFollowsItsTwin(t *testing.T) {
	var calls, streams atomic.Int64
	over := make(chan struct{})
	s := &service{unary: numbered(&calls), output: func(r *testpb.StreamingOutputCallRequest, ss testgrpc.TestService_StreamingOutputCallServer) error {
		n := streams.Add(1)
		for i := range 3 {
			ss.Send(chunk(fmt.Sprintf("%s: stream %d.%d", r.Payload.Body, n, i)))
		}
		if n == 1 {
			ss.SetTrailer(metadata.Pairs("weir-degraded", "memory", "weir-twin", twinName, "grpc-retry-pushback-ms", "1"))
			return status.Error(codes.Unavailable, "it has been idle")
		}
		<-over
		return nil
	}}
	x := newTwins(t, s, scarce(time.Millisecond), grpc.Twins{Every: time.Millisecond})
	var header, trailer metadata.MD
	var ends []error
	ss, err := x.StreamingOutputCall(within(t), asked("price"), stock.Header(&header), stock.Trailer(&trailer),
		stock.OnFinish(func(err error) { ends = append(ends, err) }))
	ok(t, err)
	md, err := ss.Header()
	ok(t, err)
	want(t, fmt.Sprint(md["weir-degraded"], md["weir-twin"]), "[descriptors] ["+twinName+"]")
	next := func() string {
		t.Helper()
		m, err := ss.Recv()
		ok(t, err)
		return string(m.Payload.Body)
	}
	for i := range 3 {
		want(t, next(), fmt.Sprintf("price: unary %d", i+1))
	}
	want(t, x.TwinStats().Now, 1)
	x.normal()
	got := next()
	for n := 4; strings.Contains(got, "unary"); n++ { // it answers in turn until the stream is back
		want(t, got, fmt.Sprintf("price: unary %d", n))
		got = next()
	}
	want(t, got, "price: stream 1.0")
	want(t, next(), "price: stream 1.1")
	want(t, next(), "price: stream 1.2")
	for got = next(); strings.Contains(got, "unary"); got = next() { // the stream has ended
	}
	want(t, got, "price: stream 2.0")
	want(t, next(), "price: stream 2.1")
	want(t, next(), "price: stream 2.2")
	close(over)
	if _, err := ss.Recv(); err != io.EOF {
		t.Error(err)
	}
	if _, err := ss.Recv(); err != io.EOF {
		t.Error(err)
	}
	st := x.TwinStats()
	if st.Now != 0 || st.Followed != 2 || st.Returned != 2 || st.Calls != uint64(calls.Load()) || len(ends) != 1 || ends[0] != nil {
		t.Errorf("%+v, %d calls, %v", st, calls.Load(), ends)
	}
	if !slices.Equal(x.changes, []string{
		outputName + " " + twinName + " descriptors", outputName + "  ",
		outputName + " " + twinName + " memory", outputName + "  ",
	}) {
		t.Errorf("%q", x.changes)
	}
	if header["content-type"] == nil || trailer["weir-twin"] != nil {
		t.Errorf("it has ended with %v and %v", header, trailer)
	}
}

// Each message of a bidirectional call is seen once, by the twin or by a stream,
// and answered in order, whenever there is room again.
func TestTalkFollowsItsTwin(t *testing.T) {
	const n = 300
	var mu sync.Mutex
	seen := map[string]int{}
	note := func(b []byte, by string) string {
		mu.Lock()
		defer mu.Unlock()
		seen[string(b)]++
		return by + string(b)
	}
	s := &service{unary: func(_ context.Context, r *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		return text(note(r.Payload.Body, "unary ")), nil
	}, duplex: func(ss testgrpc.TestService_FullDuplexCallServer) error {
		for {
			m, err := ss.Recv()
			if err != nil {
				return nil
			}
			if err := ss.Send(chunk(note(m.Payload.Body, "stream "))); err != nil {
				return err
			}
		}
	}}
	x := newTwins(t, s, scarce(time.Millisecond), grpc.Twins{Every: time.Millisecond, Queue: 8})
	ss, err := x.FullDuplexCall(within(t))
	ok(t, err)
	for i := range 5 { // before anybody knows that there is no room
		ok(t, ss.Send(bodyOf(fmt.Sprint(i))))
	}
	var by [2]int
	receive := func(i int) {
		t.Helper()
		m, err := ss.Recv()
		ok(t, err)
		who, what, _ := strings.Cut(string(m.Payload.Body), " ")
		want(t, what, fmt.Sprint(i))
		if who == "unary" {
			by[0]++
		} else {
			by[1]++
		}
	}
	for i := range 5 {
		receive(i)
	}
	want(t, by[0], 5)
	sent := make(chan error, 1)
	go func() {
		for i := 5; i < n; i++ {
			if err := ss.Send(bodyOf(fmt.Sprint(i))); err != nil {
				sent <- err
				return
			}
		}
		sent <- ss.CloseSend()
	}()
	for i := 5; i < n; i++ {
		receive(i)
		if i == 40 {
			x.normal()
		}
		if i > 40 && by[1] == 0 { // until its time has come
			<-time.After(time.Millisecond)
		}
	}
	ok(t, <-sent)
	if _, err := ss.Recv(); err != io.EOF {
		t.Error(err)
	}
	for id, times := range seen {
		want(t, fmt.Sprint(id, " ", times), id+" 1")
	}
	if len(seen) != n || by[1] == 0 {
		t.Errorf("%d messages were seen, %v by twin and stream", len(seen), by)
	}
	if st := x.TwinStats(); st.Now != 0 || st.Followed != 1 || st.Returned != 1 || st.Calls != uint64(by[0]) {
		t.Errorf("%+v, %v", st, by)
	}
}

// What has been sent before CloseSend is answered, then there is the end; also
// when one goroutine sends all that the queue takes first.
func TestTalkOfTwinsEnds(t *testing.T) {
	var calls atomic.Int64
	// The client lets calls come back, but goes to the twin meanwhile.
	x := newTwins(t, &service{unary: numbered(&calls)}, scarce(20*time.Second), grpc.Twins{Queue: 4})
	ss, err := x.FullDuplexCall(within(t))
	ok(t, err)
	for i := range 4 {
		ok(t, ss.Send(bodyOf(fmt.Sprint(i))))
	}
	ok(t, ss.CloseSend())
	for i := range 4 {
		m, err := ss.Recv()
		ok(t, err)
		want(t, string(m.Payload.Body), fmt.Sprintf("%d: unary %d", i, i+1))
	}
	for range 2 {
		if _, err := ss.Recv(); err != io.EOF {
			t.Error(err)
		}
	}
	want(t, x.TwinStats().Now, 0)
	want(t, x.Core().Stats().Pushbacks, 0)
}

// A stream that is tried when all has been sent hears of the end, too.
func TestTalkIsBackBeforeItsEnd(t *testing.T) {
	s := &service{unary: numbered(new(atomic.Int64)), duplex: func(ss testgrpc.TestService_FullDuplexCallServer) error {
		for {
			m, err := ss.Recv()
			if err != nil {
				return nil
			}
			if err := ss.Send(chunk("stream " + string(m.Payload.Body))); err != nil {
				return err
			}
		}
	}}
	x := newTwins(t, s, scarce(time.Millisecond), grpc.Twins{Every: time.Millisecond})
	ss, err := x.FullDuplexCall(within(t))
	ok(t, err)
	ok(t, ss.Send(bodyOf("a")))
	m, err := ss.Recv()
	ok(t, err)
	want(t, string(m.Payload.Body), "a: unary 1")
	x.normal()
	<-time.After(5 * time.Millisecond) // more than the pushback and its jitter; the answers are right without, too
	for _, s := range []string{"b", "c"} {
		ok(t, ss.Send(bodyOf(s)))
	}
	ok(t, ss.CloseSend())
	for _, s := range []string{"b", "c"} {
		m, err := ss.Recv()
		ok(t, err)
		if got := string(m.Payload.Body); got != "stream "+s && !strings.HasPrefix(got, s+": unary") {
			t.Errorf("%q for %q", got, s)
		}
	}
	if _, err := ss.Recv(); err != io.EOF {
		t.Error(err)
	}
}
