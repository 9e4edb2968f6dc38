package interop

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/weir-go/weir/internal/await"
	"github.com/weir-go/weir/stream"
)

// soakFor is how long the soak takes: WEIR_SOAK, such as 30m, or a moment.
func soakFor(t *testing.T) time.Duration {
	s := os.Getenv("WEIR_SOAK")
	if s == "" {
		return 1500 * time.Millisecond
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// soak is a server, clients that call it in every way, and a ledger of what
// became of each message, by its number.
type soak struct {
	t      *testing.T
	srv    *stream.Server
	ccs    []*grpc.ClientConn
	next   atomic.Uint64
	served sync.Map    // number of a unary call -> *atomic.Int32, how often it was served
	wait   bool        // calls wait for a connection
	down   atomic.Bool // the server goes: calls may fail

	ok, cut, inDoubt atomic.Int64 // calls: done, ended early on purpose, failed as they may
}

// A request is its number and padding.
func numbered(n uint64, size int) []byte {
	return append(binary.BigEndian.AppendUint64(nil, n), make([]byte, size)...)
}

func (k *soak) methods(s *stream.Server) {
	echoes(s)
	pushes(300, 100)(s)
	serve := func(m []byte) {
		c, _ := k.served.LoadOrStore(binary.BigEndian.Uint64(m), new(atomic.Int32))
		c.(*atomic.Int32).Add(1)
	}
	s.Handle("/soak.S/Unary", stream.Method{Unary: func(_ *stream.Stream, m []byte) ([]byte, error) {
		serve(m)
		return m, nil
	}})
	s.Handle("/soak.S/Go", stream.Method{Await: true, Go: func(st *stream.Stream) error {
		m, err := st.Recv()
		if err != nil {
			return endOf(err)
		}
		serve(m)
		return st.Send(m)
	}})
}

// least is how many calls are made before the server goes, however slow the
// machine is.
const least = 100

// worker makes calls of all kinds until the time is up.
func (k *soak) worker(seed uint64, until time.Time) {
	r := rand.New(rand.NewPCG(seed, 7))
	few := func() bool { return !k.down.Load() && k.ok.Load() < least && !k.t.Failed() }
	for (time.Now().Before(until) || few()) && k.inDoubt.Load() < 500 {
		cc := k.ccs[r.IntN(len(k.ccs))]
		ctx, cancel := context.WithTimeout(context.Background(), long)
		switch r.IntN(8) {
		case 0, 1, 2:
			k.unary(ctx, cc, r)
		case 3, 4:
			k.bidi(ctx, cc, r, cancel)
		case 5:
			k.push(ctx, cc, r, cancel)
		case 6:
			k.hasty(cc, r)
		case 7:
			k.fat(ctx, cc, r)
		}
		cancel()
	}
}

// failed judges the error of a call: it may fail only because the server goes.
func (k *soak) failed(what string, err error) {
	if code := status.Code(err); k.down.Load() && (code == codes.Unavailable || code == codes.Canceled) {
		k.inDoubt.Add(1)
		return
	}
	k.t.Errorf("%s: %v", what, err)
}

// size is mostly small, now and then many frames long.
func size(r *rand.Rand) int {
	if r.IntN(20) == 0 {
		return r.IntN(200_000)
	}
	return r.IntN(300)
}

// unary calls are served once if they succeed, and never twice.
func (k *soak) unary(ctx context.Context, cc *grpc.ClientConn, r *rand.Rand) {
	n := k.next.Add(1)
	in := numbered(n, size(r))
	o := []grpc.CallOption{grpc.WaitForReady(k.wait)}
	if r.IntN(3) == 0 {
		o = append(o, grpc.UseCompressor(gzip.Name))
	}
	out, err := unary(ctx, cc, []string{"/soak.S/Unary", "/soak.S/Go"}[r.IntN(2)], in, o...)
	times := int32(0)
	if c, ok := k.served.LoadAndDelete(n); ok {
		times = c.(*atomic.Int32).Load()
	}
	switch {
	case err != nil:
		k.failed("unary", err)
	case !bytes.Equal(in, out):
		k.t.Errorf("call %d: another answer comes back", n)
	case times != 1:
		k.t.Errorf("call %d was served %d times", n, times)
	default:
		k.ok.Add(1)
	}
	if times > 1 {
		k.t.Errorf("call %d was served %d times", n, times)
	}
}

// bidi streams get every message back, in order, up to where they are cut.
func (k *soak) bidi(ctx context.Context, cc *grpc.ClientConn, r *rand.Rand, cancel func()) {
	cs, err := cc.NewStream(ctx, bidi, "/echo.Echo/"+[]string{"Open", "Go", "Await"}[r.IntN(3)], grpc.WaitForReady(k.wait))
	if err != nil {
		k.failed("bidi", err)
		return
	}
	n, cutAt := 1+r.IntN(50), -1
	if r.IntN(4) == 0 {
		cutAt = r.IntN(n)
	}
	sizes := make([]int, n)
	for i := range sizes {
		sizes[i] = size(r)
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i, size := range sizes {
			if sendRaw(cs, numbered(uint64(i), size)) != nil {
				return
			}
		}
		cs.CloseSend()
	}()
	for i := 0; ; i++ {
		if i == cutAt {
			cancel()
			break
		}
		m, err := recvRaw(cs)
		if err == io.EOF && i == n {
			k.ok.Add(1)
			break
		}
		if err != nil {
			k.failed("bidi", err)
			break
		}
		if i >= n || !bytes.Equal(m, numbered(uint64(i), sizes[i])) {
			k.t.Errorf("bidi: message %d of %d: %d bytes", i, n, len(m))
			break
		}
	}
	cancel()
	<-sent
	if cutAt >= 0 {
		k.cut.Add(1)
	}
}

// push streams come whole, or up to where they are cut.
func (k *soak) push(ctx context.Context, cc *grpc.ClientConn, r *rand.Rand, cancel func()) {
	cs, err := cc.NewStream(ctx, bidi, "/push.Push/"+[]string{"Open", "Go"}[r.IntN(2)], grpc.WaitForReady(k.wait))
	if err == nil {
		err = sendRaw(cs, []byte("go"))
	}
	if err != nil && err != io.EOF {
		k.failed("push", err)
		return
	}
	for i := 0; ; i++ {
		if r.IntN(500) == 0 {
			cancel()
			k.cut.Add(1)
			return
		}
		m, err := recvRaw(cs)
		switch {
		case err == io.EOF && i == 300:
			k.ok.Add(1)
			return
		case err != nil:
			k.failed("push", err)
			return
		case binary.BigEndian.Uint32(m) != uint32(i):
			k.t.Errorf("push: number %d comes as message %d", binary.BigEndian.Uint32(m), i)
			return
		}
	}
}

// hasty calls have no time: they succeed or run out of it.
func (k *soak) hasty(cc *grpc.ClientConn, r *rand.Rand) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(r.IntN(2000))*time.Microsecond)
	defer cancel()
	cs, err := cc.NewStream(ctx, bidi, "/echo.Echo/"+[]string{"Open", "Go", "Await"}[r.IntN(3)])
	for err == nil {
		if err = sendRaw(cs, numbered(1, 10)); err == nil {
			_, err = recvRaw(cs)
		}
	}
	if code := status.Code(err); code != codes.DeadlineExceeded && !errors.Is(err, io.EOF) && code != codes.Unavailable {
		k.t.Errorf("hasty: %v", err)
	}
	k.cut.Add(1)
}

// fat calls have much metadata: what fits comes through, what does not the
// client refuses, who knows the server's limit.
func (k *soak) fat(ctx context.Context, cc *grpc.ClientConn, r *rand.Rand) {
	want, n := codes.OK, 6000
	if r.IntN(2) == 0 {
		want, n = codes.Internal, 20_000
	}
	ctx = metadata.AppendToOutgoingContext(ctx, "fat", strings.Repeat("f", n))
	_, err := unary(ctx, cc, "/echo.Echo/Unary", []byte("x"), grpc.WaitForReady(k.wait))
	switch {
	case status.Code(err) == want:
		k.ok.Add(1)
	default:
		k.failed("fat", err)
	}
}

// All kinds of calls at once, over connections that age, with keepalive both
// ways, until the server shuts down in the middle of it: no message is lost or
// doubled, and nothing of them is left.
func TestStreamSoak(t *testing.T) {
	k := &soak{t: t, wait: true}
	srv, addr := streamServer(t, stream.Config{
		MaxAge: 200 * time.Millisecond, AgeGrace: await.Patience,
		Keepalive: stream.Keepalive{Time: 100 * time.Millisecond},
		Enforce:   stream.Enforcement{MinTime: time.Second, WithoutStream: true},
	}, k.methods)
	k.srv = srv
	for range 4 {
		k.ccs = append(k.ccs, grpcClient(t, addr, grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second})))
	}
	long := soakFor(t)
	k.run(16, long*2/3)
	await.Until(t, "all streams gone, no byte held", func() bool { s := srv.Stats(); return s.Streams == 0 && s.Held == 0 })
	if s := srv.Stats(); s.SessionErrors != 0 || s.Panics != 0 || s.Drained == 0 {
		t.Errorf("%+v", s)
	}
	k.wait = false
	ended := make(chan error, 1)
	timer := time.AfterFunc(long/6, func() {
		k.down.Store(true)
		ended <- srv.Shutdown(within(t))
	})
	defer timer.Stop()
	k.run(16, long/3)
	if err := <-ended; err != nil {
		t.Errorf("shutdown: %v", err)
	}
	t.Logf("%d calls done, %d cut short, %d failed while the server went; %+v", k.ok.Load(), k.cut.Load(), k.inDoubt.Load(), srv.Stats())
}

func (k *soak) run(workers int, d time.Duration) {
	var all sync.WaitGroup
	until := time.Now().Add(d)
	for range workers {
		seed := k.next.Add(1)
		all.Go(func() { k.worker(seed, until) })
	}
	all.Wait()
}

// Ten thousand streams with something under way both ways are cancelled at once.
func TestStreamTenThousandCancelled(t *testing.T) {
	n := 10_000
	if underRace {
		n = 2000
	}
	srv, addr := streamServer(t, stream.Config{MaxStreams: n / 4}, func(s *stream.Server) { echoes(s); pushes(1000, 100)(s) })
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	methods := []string{"/echo.Echo/Open", "/push.Push/Open", "/echo.Echo/Await", "/push.Push/Go"}
	for range 4 {
		cc := grpcClient(t, addr)
		for i := range n / 4 {
			cs := open(t, ctx, cc, methods[i%4])
			if err := sendRaw(cs, numbered(uint64(i), 100)); err != nil {
				t.Fatal(err)
			}
		}
	}
	await.Until(t, "all streams open", func() bool { return srv.Stats().Opened == uint64(n) })
	cancel()
	await.Until(t, "all streams gone, no byte held", func() bool { s := srv.Stats(); return s.Streams == 0 && s.Held == 0 })
	if s := srv.Stats(); s.SessionErrors != 0 || s.Panics != 0 {
		t.Errorf("%+v", s)
	}
}

// Streams that the server ends while their clients still send much: what comes
// too late is nobody's fault, and the connection goes on.
func TestStreamEndedEarly(t *testing.T) {
	srv, addr := streamServer(t, stream.Config{}, func(s *stream.Server) {
		echoes(s)
		s.Handle("/no.No/Open", stream.Method{Open: func(*stream.Stream) (stream.Handler, error) { return refuser{}, nil }})
	})
	cc := grpcClient(t, addr)
	var all sync.WaitGroup
	for range 60 {
		all.Go(func() {
			for range 2 {
				cs := open(t, within(t), cc, "/no.No/Open")
				for sendRaw(cs, make([]byte, 20)) == nil {
				}
				if _, err := recvRaw(cs); status.Code(err) != codes.Aborted {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if s := srv.Stats(); s.SessionErrors != 0 {
		t.Errorf("%d sessions ended for an error", s.SessionErrors)
	}
}

// refuser lets a few messages come.
type refuser struct{}

func (refuser) Message(*stream.Stream, []byte) error { return &stream.Status{Code: stream.Aborted} }
func (refuser) Closed(*stream.Stream, error)         {}

// Uploads that are together larger than a session may hold: each is done, or
// refused, and none hangs.
func TestStreamUploadsTogether(t *testing.T) {
	const size = 4<<20 - 100
	srv, addr := streamServer(t, stream.Config{}, echoes)
	cc := grpcClient(t, addr, grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(8<<20)))
	var all sync.WaitGroup
	var done, refused atomic.Int64
	for i := range 24 {
		m := []string{"/echo.Echo/Unary", "/echo.Echo/Open", "/echo.Echo/Go"}[i%3]
		all.Go(func() {
			out, err := unary(within(t), cc, m, make([]byte, size))
			switch {
			case err == nil && len(out) == size:
				done.Add(1)
			case status.Code(err) == codes.ResourceExhausted:
				refused.Add(1)
			default:
				t.Errorf("%s: %d bytes, %v", m, len(out), err)
			}
		})
	}
	all.Wait()
	t.Logf("%d done, %d refused", done.Load(), refused.Load())
	await.Until(t, "no byte held", func() bool { return srv.Stats().Held == 0 })
	if s := srv.Stats(); done.Load() == 0 || s.SessionErrors != 0 {
		t.Errorf("%d done, %+v", done.Load(), s)
	}
}
