package rpc

import (
	"bytes"
	"encoding/binary"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/weir-go/weir/internal/await"
	"github.com/weir-go/weir/internal/echo/echopb"
	"github.com/weir-go/weir/stream"
)

const (
	ok              = "0"
	invalidArgument = "3"
	notFound        = "5"
	internal        = "13"
	unavailable     = "14"
)

func TestCalls(t *testing.T) {
	s := serve(t, Config{})
	message := func(text string) []byte { return encode(t, &echopb.Message{Text: text}) }
	push := func(n uint32) []byte {
		return encode(t, &echopb.PushRequest{Message: &echopb.Message{Text: "again"}, Count: n})
	}
	garbage := []byte{0xff}
	for _, test := range []struct {
		name     string
		method   string
		requests [][]byte
		answers  [][]byte
		code     string
	}{
		{"unary", "Unary", [][]byte{message("hello")}, [][]byte{message("hello")}, ok},
		{"unary, of nothing", "Unary", [][]byte{{}}, [][]byte{{}}, ok},
		{"unary, garbage", "Unary", [][]byte{garbage}, nil, invalidArgument},
		{"push", "Push", [][]byte{push(3)}, slices.Repeat([][]byte{message("again")}, 3), ok},
		{"push, none", "Push", [][]byte{push(0)}, nil, ok},
		{"push, too many", "Push", [][]byte{push(maxPush + 1)}, nil, invalidArgument},
		{"push, garbage", "Push", [][]byte{garbage}, nil, invalidArgument},
		{"push, unasked", "Push", nil, nil, internal},
		{"collect", "Collect", [][]byte{message("a"), message("bc")},
			[][]byte{encode(t, &echopb.Summary{Messages: 2, Bytes: 3})}, ok},
		{"collect, nothing", "Collect", nil, [][]byte{{}}, ok},
		{"collect, garbage", "Collect", [][]byte{message("a"), garbage}, nil, invalidArgument},
		{"bidi", "Bidi", [][]byte{message("a"), message("b")}, [][]byte{message("a"), message("b")}, ok},
		{"bidi, nothing", "Bidi", nil, nil, ok},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := begin(t, s, "/weir.echo.v1.Echo/"+test.method, test.requests...)
			require.Equal(t, test.answers, c.rest(t))
			code, why := c.status(t)
			require.Equal(t, test.code, code, why)
		})
	}
}

// A push that is longer than any queue goes on as it is read.
func TestPushIsPacedByItsReader(t *testing.T) {
	s := serve(t, Config{})
	m := &echopb.Message{Body: make([]byte, 10_000)}
	c := begin(t, s, "/weir.echo.v1.Echo/Push", encode(t, &echopb.PushRequest{Message: m, Count: 2000}))
	require.Len(t, c.rest(t), 2000)
	code, why := c.status(t)
	require.Equal(t, ok, code, why)
	require.NotZero(t, s.Streams().Full, "the queue was full on the way")
}

// A peer may send more than fits between the two before it begins to read: it is
// stopped meanwhile, and all of it comes back in order.
func TestBidiStopsAPeerThatDoesNotRead(t *testing.T) {
	s := serve(t, Config{Stream: stream.Config{MaxWindow: 64 << 10}})
	const n, size = 4000, 4096
	var sent [][]byte
	for i := range uint32(n) {
		body := binary.BigEndian.AppendUint32(nil, i)
		sent = append(sent, encode(t, &echopb.Message{Body: append(body, make([]byte, size)...)}))
	}
	c := begin(t, s, "/weir.echo.v1.Echo/Bidi", sent...)
	stopped(t, s)
	// net/http's client takes 4 MiB that nobody reads.
	require.Less(t, s.Totals().BytesIn, uint64(6<<20), "of 16 MiB")
	got := c.rest(t)
	require.Len(t, got, n)
	for i := range got {
		if !bytes.Equal(got[i], sent[i]) {
			t.Fatalf("message %d is not what was sent", i)
		}
	}
	code, why := c.status(t)
	require.Equal(t, ok, code, why)
}

// stopped waits until the server's queue was full and nothing more has come for
// a while: too short a while can only make a test pass that should not.
func stopped(t *testing.T, s *Server) {
	t.Helper()
	await.Until(t, "the queue is full", func() bool { return s.Streams().Full > 0 })
	last, same := s.Totals().BytesIn, 0
	await.Until(t, "nothing comes any more", func() bool {
		now := s.Totals().BytesIn
		if same++; now != last {
			last, same = now, 0
		}
		return same == 50
	})
}

func TestClockTicksForEverybody(t *testing.T) {
	s := serve(t, Config{Period: 5 * time.Millisecond})
	var subscribers []*call
	for range 3 {
		subscribers = append(subscribers, begin(t, s, "/weir.echo.v1.Clock/Subscribe", nil))
	}
	for _, c := range subscribers {
		last := uint64(0)
		for range 5 {
			m, err := c.next()
			require.NoError(t, err)
			var tick echopb.Tick
			require.NoError(t, proto.Unmarshal(m, &tick))
			if tick.Missed > 0 { // this machine was busy
				last += tick.Missed
				continue
			}
			require.Zero(t, tick.Due.AsTime().Nanosecond()%int(5*time.Millisecond), "on the grid")
			if last != 0 {
				require.Equal(t, last+1+tick.Skipped, tick.Number)
			}
			last = tick.Number
		}
	}
	require.Equal(t, 3, s.Ticks().Subs)
}

func TestMissedTicksAreCounted(t *testing.T) {
	var tick echopb.Tick
	require.NoError(t, proto.Unmarshal(missed(nil, 7, 9), &tick))
	require.True(t, proto.Equal(&echopb.Tick{Missed: 3}, &tick))
}

func TestHealth(t *testing.T) {
	s := serve(t, Config{})
	asked := func(service string) []byte { return append([]byte{10, byte(len(service))}, service...) }
	for service, want := range map[string]string{"": ok, "weir.echo.v1.Echo": ok, "weir.echo.v1.Clock": ok, "x": notFound} {
		c := begin(t, s, "/grpc.health.v1.Health/Check", asked(service))
		got := c.rest(t)
		code, why := c.status(t)
		require.Equal(t, want, code, why)
		if want == ok {
			require.Equal(t, [][]byte{{8, 1}}, got)
		}
	}
	c := begin(t, s, "/grpc.health.v1.Health/Watch", asked("x"))
	m, err := c.next()
	require.NoError(t, err)
	require.Equal(t, []byte{8, 3}, m)
}

// Whoever watches is told that the server ends, and calls that are under way
// are not cut off.
func TestShutdown(t *testing.T) {
	s := serve(t, Config{Period: time.Millisecond})
	watch := begin(t, s, "/grpc.health.v1.Health/Watch", nil)
	m, err := watch.next()
	require.NoError(t, err)
	require.Equal(t, []byte{8, 1}, m)
	clock := begin(t, s, "/weir.echo.v1.Clock/Subscribe", nil)
	push := begin(t, s, "/weir.echo.v1.Echo/Push",
		encode(t, &echopb.PushRequest{Message: &echopb.Message{Body: make([]byte, 100_000)}, Count: 100}))

	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(t.Context()) }()
	require.Equal(t, [][]byte{{8, 2}}, watch.rest(t))
	for _, c := range []*call{watch, clock} {
		code, why := c.status(t)
		require.Equal(t, unavailable, code, why)
	}
	require.Len(t, push.rest(t), 100)
	code, why := push.status(t)
	require.Equal(t, ok, code, why)
	require.NoError(t, <-ended)
	require.NotZero(t, s.Totals().BytesOut)
	require.Zero(t, s.Open())
}

// What is not gRPC is told so.
func TestAnswersBrowsers(t *testing.T) {
	s := serve(t, Config{})
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, Timeout: await.Patience}
	r, err := client.Get("http://" + s.Addr().String() + "/")
	require.NoError(t, err)
	r.Body.Close()
	require.Equal(t, http.StatusMethodNotAllowed, r.StatusCode)
}
