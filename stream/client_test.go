package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-go/weir/conn"
	until "github.com/weir-go/weir/internal/await"
)

// longest bounds waits that end at once unless something is broken.
const longest = 30 * time.Second

// couple is a Server and a Client of it over loopback. At the end of the test
// nothing of either may be left.
type couple struct {
	t    testing.TB
	rt   *conn.Runtime
	srv  *Server
	cli  *Client
	addr conn.Addr
}

func newCouple(t testing.TB, scfg Config, ccfg ClientConfig, methods map[string]Method) *couple {
	t.Helper()
	rt, err := conn.Start(conn.Config{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	p := &couple{t: t, rt: rt, srv: NewServer(scfg)}
	for path, m := range methods {
		if err := p.srv.Handle(path, m); err != nil {
			t.Fatal(err)
		}
	}
	ln, err := rt.Listen(conn.TCP(netip.MustParseAddrPort("127.0.0.1:0")), p.srv.Serve)
	if err != nil {
		t.Fatal(err)
	}
	p.addr = ln.Addr()
	if ccfg.Targets == nil {
		ccfg.Targets = []conn.Addr{p.addr}
	}
	p.cli = NewClient(rt, ccfg)
	t.Cleanup(func() {
		p.cli.Close()
		p.srv.Close()
		rt.Close()
		c, s := p.cli.Stats(), p.srv.Stats()
		if c.Calls != 0 || c.Waiting != 0 || c.Conns != 0 || c.Sessions != 0 || c.Streams != 0 || c.Held != 0 || p.cli.limbo.held.Load() != 0 {
			t.Errorf("the client at the end: %+v, %d bytes in limbo", c, p.cli.limbo.held.Load())
		}
		if s.Sessions != 0 || s.Streams != 0 {
			t.Errorf("the server at the end: %+v", s)
		}
		// A method may be about to find that its stream has ended.
		until.Until(t, "nothing is held", func() bool { return p.srv.Stats().Held == 0 })
		if b := rt.Stats().BudgetUsed; b != 0 {
			t.Errorf("%d bytes of the runtime's budget at the end", b)
		}
	})
	return p
}

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), longest)
	t.Cleanup(cancel)
	return ctx
}

// bufferOf is a Buffer with s in it.
func bufferOf(s string) *Buffer { return copied([]byte(s), false) }

// invoke is a call with one message each way.
func invoke(ctx context.Context, c *Client, path, req string, o CallOptions) (string, error) {
	st, err := c.Call(ctx, path, o)
	if err != nil {
		return "", err
	}
	if err := st.SendWait(bufferOf(req)); err != nil {
		st.Cancel()
	}
	st.CloseSend()
	m, err := st.Recv()
	if err != nil {
		return "", err
	}
	answer := string(m)
	if _, err := st.Recv(); err != io.EOF {
		return "", fmt.Errorf("after the answer: %w", err)
	}
	return answer, nil
}

// answers are methods that most tests need.
func answers() map[string]Method {
	return map[string]Method{
		"/c/Unary": {Unary: func(st *Stream, m []byte) ([]byte, error) {
			if code, ok := strings.CutPrefix(string(m), "fail "); ok {
				return nil, &Status{Code: Aborted, Message: code, Details: []byte("details")}
			}
			return append([]byte("re: "), m...), nil
		}},
		"/c/Talk": {Go: func(st *Stream) error {
			for {
				m, err := st.Recv()
				if err == io.EOF {
					return nil
				}
				if err != nil {
					return err
				}
				if err := st.SendWait(bufferOf("re: " + string(m))); err != nil {
					return err
				}
			}
		}},
		"/c/Wait": {Open: func(st *Stream) (Handler, error) { return waits{}, nil }},
		"/c/Meta": {Go: func(st *Stream) error {
			st.SetHeader(st.Header())
			st.SendHeader(Metadata{{"x-bin", "\x00\xff"}})
			st.SetTrailer(Metadata{{"t", "1"}, {"t-bin", "\x01"}})
			st.Recv()
			return nil
		}},
	}
}

// waits does nothing at all.
type waits struct{}

func (waits) Message(*Stream, []byte) error { return nil }
func (waits) Closed(*Stream, error)         {}

func TestClientUnary(t *testing.T) {
	p := newCouple(t, Config{}, ClientConfig{}, answers())
	for i := range 50 {
		req := strings.Repeat("x", i*i*40)
		got, err := invoke(soon(t), p.cli, "/c/Unary", req, CallOptions{})
		if err != nil || got != "re: "+req {
			t.Fatalf("%d bytes: %d come back, %v", len(req), len(got), err)
		}
	}
	if s := p.cli.Stats(); s.Conns != 1 || s.Dials != 1 || s.Opened != 50 || s.Failed != 0 || s.Calls != 0 || s.Held != 0 {
		t.Errorf("%+v", s)
	}
}

func TestClientStatus(t *testing.T) {
	p := newCouple(t, Config{}, ClientConfig{}, answers())
	_, err := invoke(soon(t), p.cli, "/c/Unary", "fail ü%", CallOptions{})
	var s *Status
	if !errors.As(err, &s) || s.Code != Aborted || s.Message != "ü%" || string(s.Details) != "details" {
		t.Errorf("%v", err)
	}
	_, err = invoke(soon(t), p.cli, "/c/None", "", CallOptions{})
	if !errors.Is(err, &Status{Code: Unimplemented}) {
		t.Errorf("%v", err)
	}
}

func TestClientTalk(t *testing.T) {
	p := newCouple(t, Config{}, ClientConfig{}, answers())
	for _, name := range []string{"", "gzip"} {
		st, err := p.cli.Call(soon(t), "/c/Talk", CallOptions{Compressor: name})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			m := bytes.Repeat([]byte{byte(i)}, i*100)
			if err := st.SendWait(copied(m, false)); err != nil {
				t.Fatal(err)
			}
			got, err := st.Recv()
			if err != nil || !bytes.Equal(got[4:], m) {
				t.Fatalf("message %d: %d bytes come back, %v", i, len(got), err)
			}
		}
		if st.Encoding() != name {
			t.Errorf("the answers' encoding is %q", st.Encoding())
		}
		st.CloseSend()
		if _, err := st.Recv(); err != io.EOF {
			t.Errorf("at the end: %v", err)
		}
		if s, over := st.Ended(); !over || s.Code != OK {
			t.Errorf("it has ended: %v, %v", over, s)
		}
	}
}

func TestClientMetadata(t *testing.T) {
	p := newCouple(t, Config{}, ClientConfig{}, answers())
	st, err := p.cli.Call(soon(t), "/c/Meta", CallOptions{Header: Metadata{{"a", "1"}, {"a", "2"}, {"b-bin", "\x02"}}})
	if err != nil {
		t.Fatal(err)
	}
	md, err := st.WaitHeader()
	if v, _ := md.Value("x-bin"); err != nil || v != "\x00\xff" || strings.Join(md.Values("a"), ",") != "1,2" {
		t.Errorf("header %q, %v", md, err)
	}
	if v, _ := md.Value("b-bin"); v != "\x02" {
		t.Errorf("header %q", md)
	}
	if st.Trailer() != nil {
		t.Error("trailers before the end")
	}
	st.CloseSend()
	if _, err := st.Recv(); err != io.EOF {
		t.Error(err)
	}
	if v, _ := st.Trailer().Value("t-bin"); v != "\x01" {
		t.Errorf("trailers %q", st.Trailer())
	}
}

// teller tells what happens to a stream with callbacks.
type teller struct {
	mu     sync.Mutex
	told   []string
	closed chan error
	do     func(st *Stream, m []byte) error
}

func newTeller() *teller { return &teller{closed: make(chan error, 1)} }

func (x *teller) tell(f string, args ...any) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.told = append(x.told, fmt.Sprintf(f, args...))
}

func (x *teller) Headers(st *Stream) error {
	x.tell("headers")
	return nil
}

func (x *teller) Message(st *Stream, m []byte) error {
	x.tell("%s", m)
	if x.do != nil {
		return x.do(st, m)
	}
	return nil
}

func (x *teller) Closed(st *Stream, err error) {
	x.tell("closed")
	x.closed <- err
}

func (x *teller) wait(t testing.TB) error {
	t.Helper()
	select {
	case err := <-x.closed:
		return err
	case <-time.After(longest):
		t.Fatal("it is never closed")
		return nil
	}
}

func TestClientCallbacks(t *testing.T) {
	p := newCouple(t, Config{}, ClientConfig{}, answers())
	h := newTeller()
	n := 0
	h.do = func(st *Stream, m []byte) error {
		if n++; n == 5 {
			return st.CloseSend()
		}
		return st.Emit([]byte(fmt.Sprint(n)))
	}
	st, err := p.cli.Start("/c/Talk", CallOptions{}, h)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Send([]byte("0")); err != nil { // not open yet
		t.Fatal(err)
	}
	if err := h.wait(t); err != nil {
		t.Error(err)
	}
	if got := strings.Join(h.told, ", "); got != "headers, re: 0, re: 1, re: 2, re: 3, re: 4, closed" {
		t.Errorf("it was told: %s", got)
	}
	if st.Send(nil) != ErrClosed || st.CloseSend() != ErrClosed {
		t.Error("it takes messages after its end")
	}
}

func TestClientDeadline(t *testing.T) {
	p := newCouple(t, Config{}, ClientConfig{}, answers())
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := invoke(ctx, p.cli, "/c/Wait", "", CallOptions{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("by its context: %v", err)
	}
	if _, err := invoke(soon(t), p.cli, "/c/Wait", "", CallOptions{Timeout: 50 * time.Millisecond}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("by its option: %v", err)
	}
	h := newTeller()
	if _, err := p.cli.Start("/c/Wait", CallOptions{Timeout: 50 * time.Millisecond}, h); err != nil {
		t.Fatal(err)
	}
	if err := h.wait(t); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with callbacks: %v", err)
	}
}

func TestClientCancel(t *testing.T) {
	p := newCouple(t, Config{}, ClientConfig{}, answers())
	ctx, cancel := context.WithCancel(context.Background())
	st, err := p.cli.Call(ctx, "/c/Wait", CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := st.Recv(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := p.cli.Call(ctx, "/c/Wait", CallOptions{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
