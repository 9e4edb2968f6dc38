package stream

import (
	"bufio"
	"io"
	"net"
	"runtime"
	"runtime/metrics"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/h2"
)

// siege is a server on one loop with two clients on it: one that attacks, and a
// bystander that calls a method again and again and must not suffer.
//
//	hostile ──► ┌──────────────┐
//	            │ loop, Server │      peaks: what the server says it holds,
//	bystander ► └──────────────┘      and the heap of the process
type siege struct {
	t    *testing.T
	rt   *conn.Runtime
	srv  *Server
	addr string

	held, heap atomic.Int64 // peaks
	calls      atomic.Int64 // of the bystander, all of them answered
}

// siegeWait is for what must come; nothing waits so long unless it is missing.
const siegeWait = 30 * time.Second

func besiege(t *testing.T, cfg Config, setup func(*Server)) *siege {
	t.Helper()
	rt, err := conn.Start(conn.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	s := &siege{t: t, rt: rt, srv: NewServer(cfg)}
	echoes(s.srv)
	if setup != nil {
		setup(s.srv)
	}
	addr, _ := conn.ParseAddr("127.0.0.1:0")
	ln, err := rt.Listen(addr, s.srv.Serve)
	if err != nil {
		t.Fatal(err)
	}
	s.addr = ln.Addr().String()
	t.Cleanup(func() {
		s.srv.Close()
		rt.Close()
		if x := s.srv.Stats(); x.Sessions != 0 || x.Streams != 0 || x.Held != 0 {
			t.Errorf("at the end: %+v", x)
		}
	})
	return s
}

// peak takes a look at what is in use.
func (s *siege) peak() {
	raise(&s.held, s.srv.Stats().Held)
	m := [1]metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(m[:])
	raise(&s.heap, int64(m[0].Value.Uint64()))
}

func raise(to *atomic.Int64, n int64) {
	for old := to.Load(); n > old && !to.CompareAndSwap(old, n); old = to.Load() {
	}
}

// quantile sorts d.
func quantile(d []time.Duration, q float64) time.Duration {
	slices.Sort(d)
	return d[int(q*float64(len(d)-1))].Round(time.Microsecond)
}

// under runs an attack while the bystander calls, and logs what that meant.
func (s *siege) under(attack func()) {
	s.t.Helper()
	b := s.dial()
	defer b.nc.Close()
	quiet := s.calling(b, 200, nil)
	runtime.GC()
	s.held.Store(0)
	s.heap.Store(0)
	s.peak()
	before := s.heap.Load()
	over := make(chan struct{})
	go func() {
		defer close(over)
		attack()
	}()
	loud := s.calling(b, 200, over)
	<-over
	s.t.Logf("held at most %d KiB, heap %d KiB more with its garbage; bystander: %d calls, p50 %v, p99 %v (before: %v, %v)",
		s.held.Load()>>10, (s.heap.Load()-before)>>10, len(loud), quantile(loud, 0.5), quantile(loud, 0.99), quantile(quiet, 0.5), quantile(quiet, 0.99))
}

// calling makes n calls, and more until over is closed. All must be answered.
func (s *siege) calling(b *hostile, n int, over chan struct{}) (took []time.Duration) {
	for i := 0; ; i++ {
		if i >= n {
			select {
			case <-over:
				return took
			default:
				if over == nil {
					return took
				}
			}
		}
		start := time.Now()
		id := b.open("/e.E/Unary", false)
		b.send(h2.AppendData(nil, id, message("hello"), true))
		if !b.answers(id, "hello") {
			s.t.Errorf("the bystander's call %d is not answered: %v", i, b.code())
			return append(took, time.Since(start))
		}
		took = append(took, time.Since(start))
		b.forget(id)
		s.calls.Add(1)
		s.peak()
	}
}

// hostile is a client that writes frames by hand to a real server.
type hostile struct {
	s    *siege
	nc   net.Conn
	out  *bufio.Writer
	next uint32
	dead bool // writing has failed

	mu      sync.Mutex
	changed sync.Cond
	data    map[uint32][]byte
	ended   map[uint32]bool
	reset   map[uint32]h2.Code
	status  map[uint32]string // grpc-status of trailers
	goAway  h2.Code
	left    bool // GOAWAY was read
	gone    bool // and everything else
}

// dial connects and greets; the answers are read from here on.
func (s *siege) dial(settings ...h2.Setting) *hostile {
	h := s.mute()
	h.greet(settings...)
	go h.read()
	return h
}

// mute connects a peer that neither speaks nor reads yet.
func (s *siege) mute() *hostile {
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	nc.SetDeadline(time.Now().Add(2 * siegeWait))
	s.t.Cleanup(func() { nc.Close() })
	h := &hostile{s: s, nc: nc, out: bufio.NewWriterSize(nc, 32<<10), next: 1, data: map[uint32][]byte{},
		ended: map[uint32]bool{}, reset: map[uint32]h2.Code{}, status: map[uint32]string{}}
	h.changed.L = &h.mu
	return h
}

func (h *hostile) greet(settings ...h2.Setting) {
	b := append([]byte(h2.Preface), h2.AppendSettings(nil, settings...)...)
	h.send(h2.AppendWindowUpdate(h2.AppendSettingsAck(b), 0, 1<<30))
	h.flush()
}

// send queues bytes; false when the connection takes no more.
func (h *hostile) send(b []byte) bool {
	if _, err := h.out.Write(b); err != nil {
		h.dead = true
	}
	return !h.dead
}

func (h *hostile) flush() bool {
	if h.out.Flush() != nil {
		h.dead = true
	}
	return !h.dead
}

func (h *hostile) open(path string, end bool, more ...string) uint32 {
	id := h.next
	h.next += 2
	h.send(h2.AppendHeaders(nil, id, header(path, more...), end, h2.MinMaxFrame))
	return id
}

// read takes in what the server says, to the end.
func (h *hostile) read() {
	in := bufio.NewReaderSize(h.nc, 64<<10)
	var head [h2.HeaderLen]byte
	for {
		if _, err := io.ReadFull(in, head[:]); err != nil {
			break
		}
		f := frame{Header: h2.ParseHeader(head[:])}
		f.p = make([]byte, f.Length)
		if _, err := io.ReadFull(in, f.p); err != nil {
			break
		}
		h.mu.Lock()
		h.take(f)
		h.mu.Unlock()
		h.changed.Broadcast()
	}
	h.mu.Lock()
	h.gone = true
	h.mu.Unlock()
	h.changed.Broadcast()
}

// grpcStatus finds the status in trailers, which our server encodes without a table.
func grpcStatus(block []byte) string {
	fields, _ := hpack.NewDecoder(4096, nil).DecodeFull(block)
	for _, f := range fields {
		if f.Name == "grpc-status" {
			return f.Value
		}
	}
	return ""
}

func (h *hostile) take(f frame) {
	switch f.Type {
	case h2.FrameData:
		h.data[f.Stream] = append(h.data[f.Stream], f.p...)
	case h2.FrameHeaders:
		if h.ended[f.Stream] = f.Flags.Has(h2.FlagEndStream); h.ended[f.Stream] {
			h.status[f.Stream] = grpcStatus(f.p)
		}
	case h2.FrameRSTStream:
		h.reset[f.Stream] = h2.Code(f.p[3])
	case h2.FrameGoAway:
		h.goAway, h.left = h2.Code(f.p[7]), true
	}
}

// await waits until ok, which looks at what was read.
func (h *hostile) await(ok func() bool) bool {
	late := time.AfterFunc(siegeWait, func() { h.mu.Lock(); h.gone = true; h.mu.Unlock(); h.changed.Broadcast() })
	defer late.Stop()
	h.mu.Lock()
	defer h.mu.Unlock()
	for !ok() && !h.gone {
		h.changed.Wait()
	}
	return ok()
}

func (h *hostile) forget(id uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.data, id)
	delete(h.ended, id)
	delete(h.status, id)
	delete(h.reset, id)
}

// endsWith waits for GOAWAY with a code.
func (h *hostile) endsWith(code h2.Code) {
	h.s.t.Helper()
	h.flush()
	if left := h.await(func() bool { return h.left }); !left || h.code() != code {
		h.s.t.Errorf("the session ends with %v (GOAWAY: %v), want %v", h.code(), left, code)
	}
}

func (h *hostile) code() h2.Code {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.goAway
}

// lives makes a call to see that the session goes on.
func (h *hostile) lives() {
	h.s.t.Helper()
	id := h.open("/e.E/Unary", false)
	h.send(h2.AppendData(nil, id, message("alive"), true))
	if !h.answers(id, "alive") {
		h.s.t.Errorf("the session does not go on: %v", h.code())
	}
}

// answers waits for the end of a call, and reports whether its answer is m.
func (h *hostile) answers(id uint32, m string) bool {
	if !h.flush() || !h.await(func() bool { return h.ended[id] }) {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return string(h.data[id]) == string(message(m))
}

// endOf waits for the end of a stream and returns its grpc-status.
func (h *hostile) endOf(id uint32) string {
	h.s.t.Helper()
	h.flush()
	if !h.await(func() bool { return h.ended[id] }) {
		h.s.t.Errorf("stream %d does not end: %v", id, h.code())
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.status[id]
}

// flood repeats a frame, or several, up to n times or until GOAWAY has come, and
// returns how often it was sent: more than the server has looked at, because
// some were under way.
func (h *hostile) flood(n int, f func(i int) []byte) int {
	for i := range n {
		if !h.send(f(i)) {
			return i
		}
		if i%128 != 0 {
			continue
		}
		if !h.flush() || h.told() {
			return i
		}
		h.s.peak()
	}
	h.flush()
	return n
}

// told reports whether GOAWAY was read.
func (h *hostile) told() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.left
}
