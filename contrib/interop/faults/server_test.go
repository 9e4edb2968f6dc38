//go:build linux

package faults

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/await"
	"github.com/weir-go/weir/internal/sock"
	"github.com/weir-go/weir/metrics"
	"github.com/weir-go/weir/netconn"
	"github.com/weir-go/weir/stream"
)

// ledger is what a server knows of the messages that it was given. Each begins
// with its number: of a stream 1, 2, 3, ...; of a call one that no other has.
type ledger struct {
	calls    sync.Map     // number of a call that was served
	served   atomic.Int64 // calls
	twice    atomic.Int64 // of them, those that were served before
	disorder atomic.Int64 // messages of streams that were not the next
}

func (l *ledger) call(m []byte) {
	if len(m) < 8 {
		return
	}
	if _, before := l.calls.LoadOrStore(binary.BigEndian.Uint64(m), nil); before {
		l.twice.Add(1)
	}
	l.served.Add(1)
}

// next checks the number of a stream's message.
func (l *ledger) next(last *uint64, m []byte) {
	if *last++; len(m) < 8 || binary.BigEndian.Uint64(m) != *last {
		l.disorder.Add(1)
	}
}

// account is what the server of package stream says of itself.
type account struct {
	Conns, Sessions, Streams, Bytes, Held      int64
	Timers                                     int64 // set in the loops
	Taken, FDs                                 int
	Served, Twice, Disorder                    int64
	NotAdmitted, Farewells, SentAway, NoWorker uint64
	Errors, Panics, Overdrawn                  uint64
	State                                      string
}

// beat is a stream by callbacks: each message goes back.
type beat struct {
	l       *ledger
	last    uint64
	waiting [][]byte // the client does not take them yet
}

func (b *beat) Message(st *stream.Stream, m []byte) error {
	b.l.next(&b.last, m)
	if len(b.waiting) == 0 {
		err := st.Emit(m)
		if !errors.Is(err, stream.ErrFull) {
			return err
		}
		st.Pause()
	}
	b.waiting = append(b.waiting, append([]byte(nil), m...))
	return nil
}

func (b *beat) Drained(st *stream.Stream) {
	for len(b.waiting) > 0 && st.Emit(b.waiting[0]) == nil {
		b.waiting = b.waiting[1:]
	}
	if len(b.waiting) == 0 {
		st.Resume()
	}
}

func (b *beat) HalfClosed(st *stream.Stream) error { st.Finish(nil); return nil }

func (b *beat) Closed(*stream.Stream, error) {}

// weir is the server of this project.
type weir struct {
	ledger
	b   *bounds.Bounds
	rt  *conn.Runtime
	srv *stream.Server
}

func (w *weir) methods() {
	w.srv.Handle("/faults.F/Beat", stream.Method{
		Open: func(*stream.Stream) (stream.Handler, error) { return &beat{l: &w.ledger}, nil },
		Twin: "/faults.F/Once",
	})
	w.srv.Handle("/faults.F/Once", stream.Method{Unary: func(_ *stream.Stream, m []byte) ([]byte, error) {
		w.call(m)
		return m, nil
	}})
	// Go takes one of few goroutines for as long as the client does not end it.
	w.srv.Handle("/faults.F/Go", stream.Method{Go: func(st *stream.Stream) error {
		for last := uint64(0); ; {
			m, err := st.Recv()
			if err == io.EOF {
				return nil
			}
			if err == nil {
				w.next(&last, m)
				err = st.Send(m)
			}
			if err != nil {
				return err
			}
		}
	}})
}

func (w *weir) state() any {
	w.rt.Post(0, func() {}) // a loop's counts are those of its last turn
	s, rt, b := w.srv.Stats(), w.rt.Stats(), w.b.Stats()
	open, _ := sock.InUse()
	var timers int64
	for _, l := range rt.Loops {
		timers += l.TimersSet
	}
	return account{
		Conns: rt.Conns, Sessions: s.Sessions, Streams: s.Streams, Bytes: rt.BudgetUsed, Held: s.Held, Timers: timers,
		Taken: b.Taken, FDs: open, Served: w.served.Load(), Twice: w.twice.Load(), Disorder: w.disorder.Load(),
		NotAdmitted: s.NotAdmitted, Farewells: s.Farewells, SentAway: s.SentAway, NoWorker: s.NoWorker,
		Errors: s.SessionErrors, Panics: s.Panics, Overdrawn: b.Overdrawn, State: b.Verdict.State.String(),
	}
}

// serveWeir is a server with few descriptors and workers, until its input ends.
// Nothing of it may be left then.
func serveWeir() (err error) {
	if err := fewer(); err != nil {
		return err
	}
	cfg := bounds.Config{Changed: func(c bounds.Change) {
		if os.Getenv("FAULTS_QUIET") == "" {
			fmt.Fprintf(os.Stderr, "    server: %s is %s (%.0f %%)\n", c.Resource, c.To, 100*c.Load)
		}
	}}
	if os.Getenv("FAULTS_QUICK") != "" { // all of it in a fraction of the time
		cfg.Rules = bounds.Rules{
			Shed:     bounds.Rule{Enter: 0.85, After: time.Second / 10, Leave: 0.75, Calm: time.Second / 5},
			Critical: bounds.Rule{Enter: 0.90, Leave: 0.80, Calm: time.Second / 5},
			Hard:     bounds.Rule{Enter: 0.97, Leave: 0.90, Calm: time.Second / 5},
		}
		cfg.Ramp = time.Second / 5
	}
	w := new(weir)
	if w.b, err = bounds.New(cfg); err != nil {
		return err
	}
	if w.rt, err = conn.Start(conn.Config{Bounds: w.b}); err != nil {
		return err
	}
	sc := stream.Config{Admit: w.b, Workers: 8, PanicReport: func(m string, v any, stack []byte) {
		fmt.Fprintf(os.Stderr, "%s: %v\n%s", m, v, stack)
	}}
	if os.Getenv("FAULTS_SOAK") != "" { // peers that are gone, not those that a busy machine lets wait
		sc.Keepalive = stream.Keepalive{Time: 2 * time.Second, Timeout: answers}
		sc.HeaderTimeout = answers
	}
	w.srv = stream.NewServer(sc)
	w.methods()
	loopback := conn.TCP(netip.MustParseAddrPort("127.0.0.1:0"))
	ln, err := conn.ListenConfig{Class: bounds.Stream, Farewell: w.srv.Farewell}.Listen(w.rt, loopback, w.srv.Serve)
	if err != nil {
		return err
	}
	door, err := netconn.ListenConfig{ListenConfig: conn.ListenConfig{Class: bounds.Admin}}.Listen(w.rt, loopback)
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics.NewRuntime("main", w.rt), metrics.NewBounds(w.b), metrics.NewStreamServer("main", w.srv))
	admin := http.Server{Handler: promhttp.HandlerFor(registry, promhttp.HandlerOpts{})}
	ended := make(chan struct{})
	go func() { defer close(ended); admin.Serve(door) }()
	answer(fmt.Sprint(ln.Addr(), " ", door.Addr()), w.state)
	admin.Close()
	<-ended
	return errors.Join(w.srv.Close(), w.rt.Close(), w.b.Close(), w.left())
}

// left looks for what should have gone: connections, tokens, and goroutines that
// are in the project's packages.
func (w *weir) left() error {
	var found error
	for end := time.Now().Add(await.Patience); time.Now().Before(end); {
		var all strings.Builder
		pprof.Lookup("goroutine").WriteTo(&all, 2)
		found = nil
		a := w.state().(account)
		if a.Conns != 0 || a.Sessions != 0 || a.Streams != 0 || a.Bytes != 0 || a.Held != 0 || a.Timers != 0 || a.Taken != 0 || a.Overdrawn != 0 {
			found = fmt.Errorf("left at the end: %+v", a)
		}
		for _, g := range strings.Split(all.String(), "\n\n") {
			if strings.Contains(g, "weir-go/weir/") && !strings.Contains(g, "interop/faults.(*weir).left") {
				found = fmt.Errorf("a goroutine is left:\n%s", g)
			}
		}
		if found == nil {
			return nil
		}
		<-time.After(10 * time.Millisecond)
	}
	return found
}

// serveGRPC is the same service as one writes it with grpc-go.
func serveGRPC() error {
	if err := fewer(); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := grpc.NewServer(grpc.ForceServerCodecV2(raw{}), grpc.UnknownServiceHandler(func(_ any, st grpc.ServerStream) error {
		for {
			var m []byte
			if err := st.RecvMsg(&m); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
			if err := st.SendMsg(&m); err != nil {
				return err
			}
		}
	}))
	go srv.Serve(ln)
	admin := http.Server{Handler: promhttp.Handler(), ErrorLog: log.New(io.Discard, "", 0)}
	go admin.Serve(door)
	answer(fmt.Sprint(ln.Addr(), " ", door.Addr()), func() any { return account{} })
	admin.Close()
	srv.Stop()
	return nil
}
