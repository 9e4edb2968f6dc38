package h2c

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/weir-go/weir/bench/internal/news"
	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/h2"
	"github.com/weir-go/weir/internal/leak"
	"github.com/weir-go/weir/stream"
)

func TestMain(m *testing.M) { leak.Main(m) }

func start(t *testing.T) *conn.Runtime {
	t.Helper()
	rt, err := conn.Start(conn.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rt.Close() })
	return rt
}

const path = "/grpc.testing.BenchmarkService/X"

// serve is a server of package stream with one method.
func serve(t *testing.T, m stream.Method) conn.Addr {
	t.Helper()
	srv := stream.NewServer(stream.Config{})
	if err := srv.Handle(path, m); err != nil {
		t.Fatal(err)
	}
	l, err := start(t).Listen(conn.TCP(netip.MustParseAddrPort("127.0.0.1:0")), srv.Serve)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	return l.Addr()
}

// each is a handler that answers messages.
type each func(st *stream.Stream, m []byte) error

func (f each) Message(st *stream.Stream, m []byte) error { return f(st, m) }
func (each) HalfClosed(*stream.Stream) error             { return nil }
func (each) Closed(*stream.Stream, error)                {}

func opens(f each) stream.Method {
	return stream.Method{Open: func(*stream.Stream) (stream.Handler, error) { return f, nil }}
}

var (
	mirror = opens((*stream.Stream).Emit)
	answer = stream.Method{Unary: func(_ *stream.Stream, m []byte) ([]byte, error) { return m, nil }}
)

const patience = 30 * time.Second

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func TestEverythingComesBack(t *testing.T) {
	for name, c := range map[string]struct {
		m   stream.Method
		cfg Config
	}{
		"echo":      {mirror, Config{Mode: Echo, Conns: 3, Streams: 20}},
		"echo 1K":   {mirror, Config{Mode: Echo, Conns: 1, Streams: 100, Size: 1024}},
		"echo long": {mirror, Config{Mode: Echo, Conns: 2, Streams: 40, Size: 8000}},
		"unary":     {answer, Config{Mode: Unary, Conns: 3, Streams: 20}},
		"unary 8K":  {answer, Config{Mode: Unary, Conns: 1, Streams: 9, Size: 8000}},
	} {
		t.Run(name, func(t *testing.T) {
			c.cfg.To, c.cfg.Path, c.cfg.Raw = serve(t, c.m), path, true
			client, err := Open(within(t), start(t), c.cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := client.Begin(); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				r, err := client.Measure(within(t), 20*time.Millisecond)
				if err != nil || r.Messages > 0 && r.P99 <= 0 {
					t.Fatalf("%+v, %v", r, err)
				}
			}
			if err := client.Settle(within(t), 0); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// listening subscribes to a topic and returns how to publish number n.
func listening(t *testing.T, cfg Config, skip uint64) (*Client, func(seq uint64)) {
	t.Helper()
	rt := start(t)
	topic := stream.NewTopic(rt, stream.TopicConfig{})
	srv := stream.NewServer(stream.Config{})
	asked := make(chan byte, cfg.Streams)
	srv.Handle(path, opens(func(st *stream.Stream, m []byte) error {
		_, err := topic.Subscribe(st, stream.SubOptions{})
		asked <- m[len(m)-1] // and has what is published from here on
		return err
	}))
	l, err := rt.Listen(conn.TCP(netip.MustParseAddrPort("127.0.0.1:0")), srv.Serve)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	cfg.Mode, cfg.To, cfg.Path = Listen, l.Addr(), path
	client, err := Open(within(t), start(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	lossy := 0
	for range cfg.Streams {
		lossy += int(<-asked)
	}
	if want := cfg.Streams / max(cfg.Slow, 1); cfg.Slow > 0 && lossy != want || cfg.Slow == 0 && lossy != 0 {
		t.Fatalf("%d streams asked for what they can take", lossy)
	}
	return client, func(seq uint64) {
		body := make([]byte, 64)
		news.Put(body, 0, seq, time.Now().UnixNano())
		if seq == skip {
			return
		}
		if _, err := topic.Publish(append(news.AppendHead(nil, news.Response, 64), body...)); err != nil {
			t.Fatal(err)
		}
	}
}

// Who does not read gets what its window had room for, and nobody waits for it.
func TestSlowStreamsHoldUpNobody(t *testing.T) {
	client, publish := listening(t, Config{Conns: 2, Streams: 20, Slow: 5}, 0)
	const last = 100
	for seq := uint64(1); seq <= last; seq++ {
		publish(seq)
		if seq%50 == 0 {
			if err := client.Settle(within(t), seq); err != nil {
				t.Fatal(err)
			}
		}
	}
	err := client.do(func() {
		for _, l := range client.links {
			for _, s := range l.streams {
				if s.slow && (s.seq == 0 || s.seq > slowFirst/64) || !s.slow && s.seq != last {
					t.Errorf("stream %d, slow %t, has %d messages", s.id, s.slow, s.seq)
				}
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestLostNewsAreSeen(t *testing.T) {
	client, publish := listening(t, Config{Conns: 1, Streams: 3}, 4)
	for seq := uint64(1); seq <= 6; seq++ {
		publish(seq)
	}
	if err := client.Settle(within(t), 6); !errors.Is(err, ErrEnded) || !strings.Contains(err.Error(), "number 5 of 64 bytes, want 4") {
		t.Fatal(err)
	}
}

func TestNewsMayBeginLater(t *testing.T) {
	client, publish := listening(t, Config{Conns: 1, Streams: 3, From: 7}, 0)
	publish(8)
	if err := client.Settle(within(t), 8); err != nil {
		t.Fatal(err)
	}
}

// A server that does something wrong once ends the measurement.
func TestWrongServersAreSeen(t *testing.T) {
	n := 0
	after := func(then each) each {
		return func(st *stream.Stream, m []byte) error {
			if n++; n == 50 {
				return then(st, m)
			}
			return st.Emit(m)
		}
	}
	for name, c := range map[string]struct {
		m    stream.Method
		says string
	}{
		"turns a bit": {opens(after(func(st *stream.Stream, m []byte) error {
			m[len(m)-1] ^= 4
			return st.Emit(m)
		})), "not what it must be"},
		"doubles": {opens(after(func(st *stream.Stream, m []byte) error {
			st.Emit(m)
			return st.Emit(m)
		})), "not what it must be"},
		"ends a stream": {opens(after(func(st *stream.Stream, _ []byte) error {
			st.Finish(nil)
			return nil
		})), "ended a stream"},
		"fails": {opens(after(func(*stream.Stream, []byte) error { return stream.Statusf(stream.Internal, "no") })), `grpc-status "13"`},
		"does not know the method": {stream.Method{Open: func(*stream.Stream) (stream.Handler, error) {
			return nil, stream.Statusf(stream.Unimplemented, "no")
		}}, `grpc-status "12"`},
	} {
		t.Run(name, func(t *testing.T) {
			n = 0
			cfg := Config{Mode: Echo, Conns: 1, Streams: 3, To: serve(t, c.m), Path: path, Raw: true}
			client, err := Open(within(t), start(t), cfg)
			if err == nil { // otherwise it was seen by now
				client.Begin()
				err = client.wait(within(t), func() bool { return false })
			}
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("%v, want %q", err, c.says)
			}
		})
	}
}

// script is a server that says its lines: bytes to send, and how many to wait for before.
func script(t *testing.T, play func(c net.Conn)) conn.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		play(c)
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return conn.TCP(netip.MustParseAddrPort(l.Addr().String()))
}

// frames reads what the client sends and passes the DATA frames on.
func frames(c net.Conn, data chan<- int) {
	defer close(data)
	var in []byte
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		in = append(in, buf[:n]...)
		if strings.HasPrefix(string(in), h2.Preface) {
			in = in[len(h2.Preface):]
		}
		for len(in) >= h2.HeaderLen {
			h := h2.ParseHeader(in)
			if len(in) < h2.HeaderLen+int(h.Length) {
				break
			}
			if h.Type == h2.FrameData {
				data <- int(h.Length)
			}
			in = in[h2.HeaderLen+int(h.Length):]
		}
	}
}

// Nothing is sent that the server's window has no room for.
func TestKeepsToTheWindow(t *testing.T) {
	cfg := Config{Mode: Echo, Conns: 1, Streams: 1, Path: path, Raw: true}
	size := prefixLen + news.HeadLen(64) + 64
	got := make(chan int, 10)
	opened, windows := make(chan struct{}), make(chan uint32)
	cfg.To = script(t, func(c net.Conn) {
		c.Write(h2.AppendSettings(nil, h2.Setting{ID: h2.SettingInitialWindowSize, Value: uint32(size - 1)}))
		go func() {
			for n := range windows {
				c.Write(h2.AppendWindowUpdate(nil, 1, n))
			}
		}()
		frames(c, got)
	})
	rt := start(t)
	client, err := Open(within(t), rt, cfg)
	if err != nil {
		t.Fatal(err)
	}
	close(opened)
	if err := client.Begin(); err != nil {
		t.Fatal(err)
	}
	if err := client.do(func() {
		if s := client.links[0].streams[0]; s.fits() || len(client.links[0].blocked) != 1 || s.room != int64(size-1) {
			t.Errorf("window %d, %d wait", s.room, len(client.links[0].blocked))
		}
	}); err != nil {
		t.Fatal(err)
	}
	windows <- 1
	if n := <-got; n != size {
		t.Errorf("sent %d bytes, want %d", n, size)
	}
	close(windows)
	rt.Close()
	for n := range got {
		t.Errorf("and then %d bytes", n)
	}
}

func TestConfigsThatCannotBe(t *testing.T) {
	for _, size := range []int{8, 65, 100_000} {
		if _, err := Open(t.Context(), nil, Config{Size: size}); err == nil {
			t.Errorf("bodies of %d bytes", size)
		}
	}
}

// A block is remembered only as long as nothing has changed the table.
func TestStatusOfBlocks(t *testing.T) {
	var f fields
	f.init()
	ok := h2.AppendField(nil, "grpc-status", "0")
	no := h2.AppendField(nil, "grpc-status", "13")
	inserts := func(value string) []byte { // literal with incremental indexing, a new name
		return append(append([]byte{0x40, 11}, "grpc-status"...), append([]byte{byte(len(value))}, value...)...)
	}
	newest := []byte{0x80 | 62} // the field inserted last
	for i, c := range []struct {
		block []byte
		want  string
	}{
		{ok, "0"}, {no, "13"}, {ok, "0"}, {inserts("7"), "7"}, {newest, "7"}, {newest, "7"},
		{inserts("5"), "5"}, {newest, "5"}, {[]byte{0x88}, "-"}, {ok, "0"}, {newest, "5"},
	} {
		if got, err := f.status(c.block); err != nil || got != c.want {
			t.Errorf("%d: %q, %v, want %q", i, got, err, c.want)
		}
	}
	if _, err := f.status([]byte{0x80 | 100}); !errors.Is(err, ErrProtocol) {
		t.Error("a field that is not there:", err)
	}
}

// FuzzChanges: a valid block after which the table is another one changes it.
func FuzzChanges(f *testing.F) {
	f.Add(h2.AppendField(nil, "grpc-status", "0"))
	f.Add([]byte("\x40\x01a\x01b"))
	f.Add([]byte{0x0f, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x7f})
	f.Add([]byte("\x0f\x80\x80\x80\x80\x80\x00\x01A\x40\x01a\x01b")) // an index of more bytes than it needs
	f.Fuzz(func(t *testing.T, block []byte) {
		says := changes(block)
		d := hpack.NewDecoder(4096, nil)
		if _, err := d.DecodeFull(block); err != nil || says {
			return
		}
		if newest, err := d.DecodeFull([]byte{0x80 | 62}); err == nil {
			t.Fatalf("%x has put %v in", block, newest)
		}
	})
}
