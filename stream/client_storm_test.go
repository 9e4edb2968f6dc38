package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-go/weir/conn"
)

// tallied is a service that counts how often it has seen each call.
type tallied struct {
	mu   sync.Mutex
	seen map[string]int
}

func (x *tallied) note(id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.seen[id]++
}

// Calls of both faces, some cancelled at any moment, while the server drains its
// sessions one after the other: each call ends once, none is done twice, and
// those that were not cancelled are done.
func TestClientStorm(t *testing.T) {
	x := &tallied{seen: make(map[string]int)}
	methods := map[string]Method{
		"/s/Unary": {Unary: func(st *Stream, m []byte) ([]byte, error) { x.note(string(m)); return m, nil }},
		"/s/Go": {Go: func(st *Stream) error {
			m, err := st.Recv()
			if err != nil {
				return err
			}
			x.note(string(m))
			return st.SendWait(copied(m, false))
		}},
	}
	p := newCouple(t, Config{MaxStreams: 8}, ClientConfig{MaxConns: 3, MaxWaiting: 1000}, methods)
	each := 150
	if testing.Short() {
		each = 30
	}
	var all sync.WaitGroup
	var done, lost atomic.Int64
	for k := range 12 {
		r := rand.New(rand.NewPCG(uint64(k), 7))
		all.Go(func() {
			for i := range each {
				id := fmt.Sprint(k, " ", i)
				path := []string{"/s/Unary", "/s/Go"}[r.IntN(2)]
				ctx, cancel := context.WithCancel(context.Background())
				impatient := r.IntN(4) == 0
				if impatient {
					time.AfterFunc(time.Duration(r.IntN(2000))*time.Microsecond, cancel)
				}
				var err error
				if r.IntN(2) == 0 {
					var got string
					if got, err = invoke(ctx, p.cli, path, id, CallOptions{}); err == nil && got != id {
						t.Errorf("%q for %q", got, id)
					}
				} else {
					err = callback(ctx, p.cli, path, id)
				}
				switch {
				case err == nil:
					done.Add(1)
				case impatient && errors.Is(err, context.Canceled):
					lost.Add(1)
				default:
					t.Errorf("call %s: %v", id, err)
				}
				cancel()
				if i%40 == 10 && k < 3 {
					p.drainOne()
				}
			}
		})
	}
	all.Wait()
	x.mu.Lock()
	defer x.mu.Unlock()
	for id, n := range x.seen {
		if n != 1 {
			t.Errorf("call %s was done %d times", id, n)
		}
	}
	if n := int(done.Load()); n > len(x.seen) || n+int(lost.Load()) != 12*each {
		t.Errorf("%d calls done, %d cancelled, the server has seen %d", n, lost.Load(), len(x.seen))
	}
	t.Logf("%d done, %d cancelled; %+v", done.Load(), lost.Load(), p.cli.Stats())
}

// drainOne drains one of the server's sessions.
func (p *couple) drainOne() {
	p.srv.mu.Lock()
	defer p.srv.mu.Unlock()
	for s := range p.srv.sessions {
		s.Drain()
		return
	}
}

// callback is a call of one message each way with callbacks.
func callback(ctx context.Context, c *Client, path, id string) error {
	h := newTeller()
	st, err := c.Start(path, CallOptions{}, h)
	if err != nil {
		return err
	}
	st.Send([]byte(id))
	st.CloseSend()
	stop := context.AfterFunc(ctx, st.Cancel)
	defer stop()
	err = <-h.closed
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil && (len(h.told) != 3 || h.told[1] != id) {
		return fmt.Errorf("for %q: %q", id, h.told)
	}
	return err
}

// Calls that wait for their servers' answers cost no goroutine with callbacks.
func TestIdleCallsHaveNoGoroutines(t *testing.T) {
	p := newCouple(t, Config{MaxStreams: 5000}, ClientConfig{}, answers())
	if _, err := invoke(soon(t), p.cli, "/c/Unary", "", CallOptions{}); err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	const n = 3000
	var streams []*Stream
	for range n {
		st, err := p.cli.Start("/c/Wait", CallOptions{}, waits{})
		if err != nil {
			t.Fatal(err)
		}
		streams = append(streams, st)
	}
	for p.srv.Stats().Streams < n {
		runtime.Gosched()
	}
	if more := runtime.NumGoroutine() - before; more > 10 {
		t.Errorf("%d goroutines for %d calls", more, n)
	}
	for _, st := range streams {
		st.Cancel()
	}
	for p.srv.Stats().Streams > 0 {
		runtime.Gosched()
	}
}

// Who sends faster than the server takes waits, and who receives slowly holds
// only its own stream up.
func TestClientFlow(t *testing.T) {
	proceed := make(chan struct{})
	methods := answers()
	methods["/f/Late"] = Method{Go: func(st *Stream) error {
		<-proceed
		n := 0
		for {
			m, err := st.Recv()
			if err == io.EOF {
				return st.SendWait(bufferOf(fmt.Sprint(n)))
			}
			if err != nil {
				return err
			}
			n += len(m)
		}
	}}
	methods["/f/Flood"] = Method{Go: func(st *Stream) error {
		for range 300 {
			if err := st.SendWait(NewBuffer(10_000)); err != nil {
				return err
			}
		}
		return nil
	}}
	p := newCouple(t, Config{}, ClientConfig{MaxConns: 1}, methods)
	late, err := p.cli.Call(soon(t), "/f/Late", CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() {
		for range 300 {
			if err := late.SendWait(NewBuffer(10_000)); err != nil {
				sent <- err
				return
			}
		}
		sent <- late.CloseSend()
	}()
	flood, err := p.cli.Call(soon(t), "/f/Flood", CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := flood.WaitHeader(); err != nil {
		t.Fatal(err)
	}
	for range 20 { // others go on meanwhile
		if got, err := invoke(soon(t), p.cli, "/c/Unary", "x", CallOptions{}); got != "re: x" {
			t.Fatal(err)
		}
	}
	select {
	case err := <-sent:
		t.Errorf("3 MB are sent to nobody: %v", err)
	default:
	}
	if held := p.cli.Stats().Held; held > 1<<20 {
		t.Errorf("%d bytes held", held)
	}
	n := 0
	for {
		m, err := flood.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		n += len(m)
	}
	close(proceed)
	if err := <-sent; err != nil {
		t.Error(err)
	}
	m, err := late.Recv()
	if err != nil || n != 3_000_000 || string(m) != "3000000" {
		t.Errorf("%d bytes received, %s sent, %v", n, m, err)
	}
	late.Recv()
}

// What nobody receives goes with the call's context.
func TestClientAbandoned(t *testing.T) {
	methods := map[string]Method{"/a/Many": {Go: func(st *Stream) error {
		for range 10 {
			st.SendWait(bufferOf("message"))
		}
		return nil
	}}}
	p := newCouple(t, Config{}, ClientConfig{}, methods)
	ctx, cancel := context.WithCancel(soon(t))
	st, err := p.cli.Call(ctx, "/a/Many", CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, over := st.Ended(); !over; _, over = st.Ended() {
		runtime.Gosched()
	}
	first, err := st.Recv()
	if err != nil || string(first) != "message" || p.cli.Stats().Held == 0 {
		t.Errorf("%q, %v, %d bytes held", first, err, p.cli.Stats().Held)
	}
	cancel()
	for p.cli.Stats().Held > 0 {
		runtime.Gosched()
	}
	if string(first) != "message" {
		t.Errorf("a message that is being read has become %q", first)
	}
	if _, err := st.Recv(); !errors.Is(err, context.Canceled) {
		t.Errorf("messages are missing, and Recv says %v", err)
	}
}

func TestClientShutdown(t *testing.T) {
	p := newCouple(t, Config{}, ClientConfig{}, answers())
	st, err := p.cli.Call(soon(t), "/c/Talk", CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	down := make(chan error, 1)
	go func() { down <- p.cli.Shutdown(soon(t)) }()
	for {
		_, err := p.cli.Start("/c/Wait", CallOptions{Timeout: time.Millisecond}, nil)
		if err == ErrClosed {
			break
		}
		runtime.Gosched()
	}
	if err := st.SendWait(bufferOf("still")); err != nil {
		t.Error(err)
	}
	if m, err := st.Recv(); err != nil || string(m) != "re: still" {
		t.Errorf("%q, %v", m, err)
	}
	st.CloseSend()
	if _, err := st.Recv(); err != io.EOF {
		t.Error(err)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
}

func TestClientShutdownTooLong(t *testing.T) {
	p := newCouple(t, Config{}, ClientConfig{}, answers())
	h := newTeller()
	if _, err := p.cli.Start("/c/Wait", CallOptions{}, h); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.cli.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := h.wait(t); !errors.Is(err, &Status{Code: Unavailable}) {
		t.Error(err)
	}
}

// The runtime ends first.
func TestClientWithoutRuntime(t *testing.T) {
	p := newCouple(t, Config{}, ClientConfig{}, answers())
	h := newTeller()
	if _, err := p.cli.Start("/c/Wait", CallOptions{}, h); err != nil {
		t.Fatal(err)
	}
	st, err := p.cli.Call(soon(t), "/c/Wait", CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p.rt.Close()
	if err := h.wait(t); err == nil {
		t.Error("it has ended with OK")
	}
	if _, err := st.Recv(); !errors.Is(err, &Status{Code: Unavailable}) {
		t.Error(err)
	}
	if _, err := p.cli.Call(soon(t), "/c/Wait", CallOptions{}); !errors.Is(err, &Status{Code: Unavailable}) {
		t.Error(err)
	}
}

// Nobody listens at the first target.
func TestClientTargets(t *testing.T) {
	p := newCouple(t, Config{}, ClientConfig{}, answers())
	cli := NewClient(p.rt, ClientConfig{Targets: []conn.Addr{conn.Unix("/nobody/here"), p.addr}})
	defer cli.Close()
	if got, err := invoke(soon(t), cli, "/c/Unary", "x", CallOptions{}); err != nil || got != "re: x" {
		t.Errorf("%q, %v", got, err)
	}
	alone := NewClient(p.rt, ClientConfig{Targets: []conn.Addr{conn.Unix("/nobody/here")}})
	defer alone.Close()
	if _, err := invoke(soon(t), alone, "/c/Unary", "x", CallOptions{}); !errors.Is(err, &Status{Code: Unavailable}) {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := invoke(ctx, alone, "/c/Unary", "x", CallOptions{WaitForReady: true}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}
