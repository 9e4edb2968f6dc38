package interop

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/stream"
)

// Ten thousand streams at once, without a goroutine each on the server.
func TestStreamTenThousand(t *testing.T) {
	const n = 10_000
	srv, addr := streamServer(t, stream.Config{MaxStreams: n}, echoes)
	cc := grpcClient(t, addr)
	before := srv.Stats().Workers
	all := make([]grpc.ClientStream, n)
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	for i := range all {
		m := "Open"
		if i%2 == 1 {
			m = "Await"
		}
		all[i] = open(t, ctx, cc, "/echo.Echo/"+m)
		if m == "Open" {
			if err := sendRaw(all[i], binary.BigEndian.AppendUint32(nil, uint32(i))); err != nil {
				t.Fatal(i, err)
			}
		}
	}
	for i := 0; i < n; i += 2 {
		if m, err := recvRaw(all[i]); err != nil || binary.BigEndian.Uint32(m) != uint32(i) {
			t.Fatalf("stream %d: %v, %v", i, m, err)
		}
	}
	for ctx.Err() == nil && srv.Stats().Streams < n { // the last ones are under way
		runtime.Gosched()
	}
	if s := srv.Stats(); s.Streams != n || s.Workers != before || s.Held != 0 {
		t.Errorf("%d streams, %d workers, %d bytes held", s.Streams, s.Workers, s.Held)
	}
	for i, cs := range all {
		if i%2 == 1 {
			sendRaw(cs, []byte{1})
		}
		cs.CloseSend()
	}
	for i, cs := range all {
		if i%2 == 1 {
			if _, err := recvRaw(cs); err != nil {
				t.Fatalf("stream %d: %v", i, err)
			}
		}
		if _, err := recvRaw(cs); err != io.EOF {
			t.Fatalf("stream %d ends with %v", i, err)
		}
	}
	if s := srv.Stats(); s.Failed != 0 || s.Received != n || s.Sent != n {
		t.Errorf("%d failed, %d received, %d sent", s.Failed, s.Received, s.Sent)
	}
}

// Sessions are drained while calls are made: none is lost, none is done twice.
func TestStreamGoAwayUnderLoad(t *testing.T) {
	var served atomic.Int64
	var sessions sync.Map
	srv, addr := streamServer(t, stream.Config{}, func(s *stream.Server) {
		s.Handle("/g.G/Unary", stream.Method{Unary: func(st *stream.Stream, m []byte) ([]byte, error) {
			served.Add(1)
			sessions.Store(st.Session(), true)
			return m, nil
		}})
		s.Handle("/g.G/Go", stream.Method{Await: true, Go: func(st *stream.Stream) error {
			served.Add(1)
			sessions.Store(st.Session(), true)
			m, err := st.Recv()
			if err != nil {
				return err
			}
			return st.Send(m)
		}})
	})
	const workers, calls = 8, 300
	var done sync.WaitGroup
	var failed atomic.Int64
	stop := make(chan struct{})
	cc := grpcClient(t, addr)
	for w := range workers {
		m := []string{"/g.G/Unary", "/g.G/Go"}[w%2]
		done.Add(1)
		go func() {
			defer done.Done()
			for range calls {
				if _, err := unary(within(t), cc, m, []byte("x"), grpc.WaitForReady(true)); err != nil {
					failed.Add(1)
					t.Error(err)
				}
			}
		}()
	}
	go func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			sessions.Range(func(k, _ any) bool {
				sessions.Delete(k)
				k.(*stream.Session).Drain()
				return true
			})
			runtime.Gosched()
		}
	}()
	done.Wait()
	close(stop)
	if n := served.Load(); n != workers*calls || failed.Load() != 0 {
		t.Errorf("%d calls served for %d, %d failed", n, workers*calls, failed.Load())
	}
	if s := srv.Stats(); s.Drained < 2 {
		t.Errorf("only %d sessions were drained", s.Drained)
	}
}

// Streams are cancelled at any moment; nothing is left.
func TestStreamCancelStorm(t *testing.T) {
	srv, addr := streamServer(t, stream.Config{}, func(s *stream.Server) { echoes(s); pushes(1000, 500)(s) })
	cc := grpcClient(t, addr)
	var done sync.WaitGroup
	for w := range 8 {
		m := []string{"/echo.Echo/Open", "/echo.Echo/Go", "/push.Push/Open", "/push.Push/Go"}[w%4]
		done.Add(1)
		go func() {
			defer done.Done()
			for i := range 100 {
				ctx, cancel := context.WithCancel(within(t))
				cs, err := cc.NewStream(ctx, bidi, m)
				if err != nil {
					if code := status.Code(err); code != codes.Unavailable && code != codes.Canceled {
						t.Error(err)
					}
					cancel()
					continue
				}
				for range i % 7 {
					if sendRaw(cs, make([]byte, 100*i)) != nil {
						break
					}
					if i%3 > 0 {
						recvRaw(cs)
					}
				}
				cancel()
			}
		}()
	}
	done.Wait()
	if _, err := unary(within(t), cc, "/echo.Echo/Unary", nil); err != nil {
		t.Error(err)
	}
	if s := srv.Stats(); s.Panics != 0 {
		t.Errorf("%+v", s)
	}
}

// Shutdown lets streams end that are open, and refuses new ones.
func TestStreamShutdown(t *testing.T) {
	srv, addr := streamServer(t, stream.Config{}, echoes)
	cc := grpcClient(t, addr)
	cs := open(t, within(t), cc, "/echo.Echo/Open")
	sendRaw(cs, []byte("before"))
	recvRaw(cs)
	ended := make(chan error, 1)
	go func() { ended <- srv.Shutdown(within(t)) }()
	for { // new calls fail as soon as GOAWAY is there
		if _, err := unary(within(t), cc, "/echo.Echo/Unary", nil); err != nil {
			break
		}
	}
	sendRaw(cs, []byte("after"))
	if m, err := recvRaw(cs); err != nil || string(m) != "after" {
		t.Errorf("%q, %v", m, err)
	}
	cs.CloseSend()
	if _, err := recvRaw(cs); err != io.EOF {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	srv2, addr2 := streamServer(t, stream.Config{}, echoes)
	cs = open(t, within(t), grpcClient(t, addr2), "/echo.Echo/Go")
	sendRaw(cs, []byte("x"))
	recvRaw(cs)
	if err := srv2.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a stream that does not end: %v", err)
	}
	if _, err := recvRaw(cs); status.Code(err) != codes.Unavailable {
		t.Errorf("its client: %v", err)
	}
}

// The runtime's Shutdown drains sessions as the server's does.
func TestStreamRuntimeShutdown(t *testing.T) {
	rt, err := conn.Start(conn.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close()
	srv := stream.NewServer(stream.Config{})
	echoes(srv)
	defer srv.Close()
	ln, err := rt.Listen(mustAddr(t, "127.0.0.1:0"), srv.Serve)
	if err != nil {
		t.Fatal(err)
	}
	cs := open(t, within(t), grpcClient(t, ln.Addr().String()), "/echo.Echo/Go")
	sendRaw(cs, []byte("before"))
	recvRaw(cs)
	ended := make(chan error, 1)
	go func() { ended <- rt.Shutdown(within(t)) }()
	<-ln.Done()
	sendRaw(cs, []byte("meanwhile"))
	if m, err := recvRaw(cs); err != nil || string(m) != "meanwhile" {
		t.Errorf("%q, %v", m, err)
	}
	cs.CloseSend()
	if _, err := recvRaw(cs); err != io.EOF {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
