package interop

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	stock "google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/contrib/grpc"
	"github.com/weir-go/weir/internal/await"
	"github.com/weir-go/weir/metrics"
	"github.com/weir-go/weir/stream"
)

// scarce lets everybody in, and has those go who are idle.
type scarce bounds.State

func (scarce) Admit() error { return nil }
func (s scarce) Verdict() bounds.Verdict {
	return bounds.Verdict{State: bounds.State(s), Resource: bounds.Descriptors, Back: time.Hour}
}

// short is a server in state s whose streams answer "hello" and are silent then.
func short(t *testing.T, s bounds.State) (*stream.Server, string) {
	return streamServer(t, stream.Config{Admit: scarce(s), Limits: stream.Limits{Idle: -1}}, func(s *stream.Server) {
		echoes(s)
		s.Handle("/echo.Echo/Hello", stream.Method{Twin: "/echo.Echo/Unary", Go: func(st *stream.Stream) error {
			if _, err := st.Recv(); err != nil {
				return err
			}
			if err := st.Send([]byte("hello")); err != nil {
				return err
			}
			<-st.Context().Done()
			return st.Context().Err()
		}})
	})
}

// weirStreams makes a client of package stream, and looks at its end that nothing
// of it is left.
func weirStreams(t *testing.T, addr string) *stream.Client {
	rt, err := conn.Start(conn.Config{Loops: 1})
	ok(t, err)
	cli := stream.NewClient(rt, stream.ClientConfig{Targets: []conn.Addr{mustAddr(t, addr)}, Retry: stream.Retry{Times: 3}})
	t.Cleanup(func() {
		cli.Close()
		rt.Close()
		if s := cli.Stats(); s.Calls != 0 || s.Streams != 0 || s.Held != 0 {
			t.Errorf("at the end: %+v", s)
		}
	})
	return cli
}

// away is what a client is told whose stream has to go.
type away struct {
	code   codes.Code
	header bool
	trailer
}

type trailer func(key string) []string

func (a away) check(t *testing.T, srv *stream.Server) {
	t.Helper()
	if a.code != codes.Unavailable || !a.header {
		t.Errorf("it ended with %v, header: %t", a.code, a.header)
	}
	if got := fmt.Sprint(a.trailer("weir-degraded"), a.trailer("weir-twin")); got != "[descriptors] [/echo.Echo/Unary]" {
		t.Errorf("the trailers say %s", got)
	}
	pushback := a.trailer("grpc-retry-pushback-ms")
	if len(pushback) != 1 {
		t.Fatalf("pushback: %q", pushback)
	}
	if ms, err := strconv.Atoi(pushback[0]); err != nil || ms < int(time.Hour.Milliseconds()) {
		t.Errorf("pushback: %s ms, %v; the state lasts for an hour", pushback[0], err)
	}
	if s := srv.Stats(); s.SentAway != 1 || s.NotAdmitted+s.Farewells+s.TooIdle+s.TooOld != 0 {
		t.Errorf("the server has counted %+v", s)
	}
}

// goes are clients that have to give way: each begins, and its second function
// waits until it is told.
var goes = []struct {
	name  string
	begin func(t *testing.T) (told func(t *testing.T))
}{
	{"a stream of package stream", streamGoes},
	{"a stream of grpc-go", func(t *testing.T) func(*testing.T) {
		srv, addr := short(t, bounds.Critical)
		return callGoes(t, srv, grpcClient(t, addr))
	}},
	{"a stream of contrib/grpc", func(t *testing.T) func(*testing.T) {
		srv, addr := short(t, bounds.Critical)
		return callGoes(t, srv, weirClient(t, addr, grpc.ClientConfig{}))
	}},
	{"a stream of contrib/grpc with twins", twinGoes},
	{"a session of grpc-go", func(t *testing.T) func(*testing.T) {
		srv, addr := short(t, bounds.Shed)
		cc := grpcClient(t, addr)
		return sessionGoes(t, srv, cc, func() bool { return cc.GetState() == connectivity.Idle })
	}},
	{"a session of contrib/grpc", func(t *testing.T) func(*testing.T) {
		srv, addr := short(t, bounds.Shed)
		cc := weirClient(t, addr, grpc.ClientConfig{})
		return sessionGoes(t, srv, cc, func() bool { return cc.Core().Stats().GoAways == 1 })
	}},
}

// Who has to give way because the server is short of something hears so, whoever
// is the client, and the server's counts agree. What may go has been idle for 10 s;
// all wait for that at once.
func TestSentAway(t *testing.T) {
	told := make([]func(*testing.T), len(goes))
	for i, g := range goes {
		told[i] = g.begin(t)
	}
	for i, g := range goes {
		t.Run(g.name, told[i])
	}
}

func streamGoes(t *testing.T) func(*testing.T) {
	srv, addr := short(t, bounds.Critical)
	cli := weirStreams(t, addr)
	ctx := within(t)
	st, err := cli.Call(ctx, "/echo.Echo/Hello", stream.CallOptions{})
	ok(t, err)
	ok(t, st.Send([]byte("here")))
	m, err := st.Recv()
	ok(t, err)
	want(t, string(m), "hello")
	return func(t *testing.T) {
		_, err = st.Recv()
		away{codes.Code(stream.StatusOf(err).Code), st.HasHeader(), st.Trailer().Values}.check(t, srv)
		one, err := cli.Call(ctx, "/echo.Echo/Unary", stream.CallOptions{})
		ok(t, err)
		ok(t, one.Send([]byte("still there")))
		ok(t, one.CloseSend())
		m, err = one.Recv()
		ok(t, err)
		want(t, string(m), "still there")
	}
}

func callGoes(t *testing.T, srv *stream.Server, cc stock.ClientConnInterface) func(*testing.T) {
	ctx, md := within(t), new(metadata.MD)
	cs, err := cc.NewStream(ctx, bidi, "/echo.Echo/Hello", stock.ForceCodecV2(raw{}), stock.Trailer(md))
	ok(t, err)
	ok(t, sendRaw(cs, []byte("here")))
	m, err := recvRaw(cs)
	ok(t, err)
	want(t, string(m), "hello")
	return func(t *testing.T) {
		_, err = recvRaw(cs)
		header, _ := cs.Header()
		away{status.Code(err), header != nil, md.Get}.check(t, srv)
		ok(t, call(ctx, cc))
	}
}

// twinGoes is a stream that hears it and goes on with its twin, which metrics show.
func twinGoes(t *testing.T) func(*testing.T) {
	srv, addr := short(t, bounds.Critical)
	cc := weirClient(t, addr, grpc.ClientConfig{Twins: &grpc.Twins{Every: time.Millisecond, Most: time.Hour}})
	watch := &stock.StreamDesc{StreamName: "Hello", ServerStreams: true}
	cs, err := cc.NewStream(within(t), watch, "/echo.Echo/Hello", stock.ForceCodecV2(raw{}))
	ok(t, err)
	ok(t, sendRaw(cs, []byte("by the twin")))
	ok(t, cs.CloseSend())
	receives := func(t *testing.T, expected string) {
		t.Helper()
		m, err := recvRaw(cs)
		ok(t, err)
		want(t, string(m), expected)
	}
	receives(t, "hello")
	return func(t *testing.T) {
		receives(t, "by the twin")
		receives(t, "by the twin")
		want(t, srv.Stats().SentAway, 1)
		page := httptest.NewRecorder()
		twins := metrics.NewTwins("shop", func() metrics.TwinStats { return metrics.TwinStats(cc.TwinStats()) })
		metrics.Handler(twins).ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		for _, line := range []string{"streams", "followed_total"} {
			if line = "weir_twin_" + line + `{client="shop"} 1`; !strings.Contains(page.Body.String(), line+"\n") {
				t.Errorf("%s is missing from\n%s", line, page.Body)
			}
		}
	}
}

// sessionGoes is a session without streams, which is told so by a GOAWAY: its
// client makes another one for the next call, which nobody notices.
func sessionGoes(t *testing.T, srv *stream.Server, cc stock.ClientConnInterface, told func() bool) func(*testing.T) {
	ctx := within(t)
	ok(t, call(ctx, cc))
	return func(t *testing.T) {
		await.Until(t, "the session is dismissed", func() bool { return srv.Stats().Dismissed == 1 })
		await.Until(t, "its client is told", told)
		ok(t, call(ctx, cc))
		if s := srv.Stats(); s.SentAway != 0 || s.SessionErrors != 0 {
			t.Errorf("the server has counted %+v", s)
		}
	}
}

// call makes a call that is to be answered.
func call(ctx context.Context, cc stock.ClientConnInterface) error {
	in, out := []byte("still there"), []byte(nil)
	if err := cc.Invoke(ctx, "/echo.Echo/Unary", &in, &out, stock.ForceCodecV2(raw{})); err != nil || string(out) != string(in) {
		return fmt.Errorf("answered %q, %w", out, err)
	}
	return nil
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want[T comparable](t testing.TB, got, expected T) {
	t.Helper()
	if got != expected {
		t.Fatalf("got %v, want %v", got, expected)
	}
}
