package restart_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/await"
	"github.com/weir-go/weir/internal/restarttest"
	"github.com/weir-go/weir/lifecycle"
	"github.com/weir-go/weir/restart"
	"github.com/weir-go/weir/stream"
)

// newsroom is a program with a topic, as one would write it: the topic is there
// before those who publish, and ends before them, with the server.
//
//	Sockets: runtime, topic     Tasks: publisher     Servers: listener, streams
//	                  ◄──────── Publish                       Subscribe ─────►
//	end:     3                        2                       1: Drain, Close, Shutdown
type newsroom struct {
	sockets *restart.Sockets
	rt      *conn.Runtime
	news    *stream.Topic
	srv     *stream.Server
	ln      *conn.Listener

	stop, stopped chan struct{} // of the publisher
	published     int           // its
}

// topicDir is where a newsroom leaves how much it has published.
const topicDir = "RESTART_TOPIC"

func serveNews() (err error) {
	s := &newsroom{stop: make(chan struct{}), stopped: make(chan struct{})}
	if s.sockets, err = restart.Begin(restart.Config{}); err != nil {
		return err
	}
	kit := lifecycle.Kit{
		Handover: s.sockets,
		Parts: []lifecycle.Part{
			{Name: "runtime", Stage: lifecycle.Sockets, Open: s.start,
				Stop: func(context.Context) error { return s.rt.Close() }},
			{Name: "publisher", Stage: lifecycle.Tasks,
				Open: func(context.Context) error { go s.publish(); return nil },
				Stop: func(context.Context) error {
					close(s.stop)
					<-s.stopped
					name := filepath.Join(os.Getenv(topicDir), strconv.Itoa(s.sockets.Generation()))
					return os.WriteFile(name, []byte(strconv.Itoa(s.published)), 0o600)
				}},
			{Name: "server", Stage: lifecycle.Servers, Open: s.listen, Stop: s.drain, Patience: await.Patience},
		},
		Ready: func() { restarttest.Ready(s.sockets.Generation(), s.ln.Addr()) },
	}
	err = kit.Run(context.Background())
	restarttest.Ended(s.sockets.Generation(), err)
	return err
}

func (s *newsroom) start(context.Context) (err error) {
	if s.rt, err = conn.Start(conn.Config{Loops: 2}); err == nil {
		s.news = stream.NewTopic(s.rt, stream.TopicConfig{CloseWait: await.Patience,
			SubOptions: stream.SubOptions{Policy: stream.Hold, Wait: await.Patience}})
	}
	return err
}

// publish goes on until it is told to stop, whether anybody listens or not.
func (s *newsroom) publish() {
	defer close(s.stopped)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.stop:
			return
		}
		// ErrFull: in a moment. ErrClosed: the server has ended, and this is next.
		if _, err := s.news.Publish(fmt.Appendf(nil, "%d %d", s.sockets.Generation(), s.published+1)); err == nil {
			s.published++
		}
	}
}

func (s *newsroom) listen(context.Context) (err error) {
	s.srv = stream.NewServer(stream.Config{})
	err = s.srv.Handle("/news/Watch", stream.Method{Open: func(st *stream.Stream) (stream.Handler, error) {
		_, err := s.news.Subscribe(st, stream.SubOptions{})
		return silent{}, err
	}})
	if err == nil {
		local := conn.TCP(netip.MustParseAddrPort("127.0.0.1:0"))
		s.ln, err = s.sockets.Listen(s.rt, "news", conn.ListenConfig{}, local, s.srv.Serve)
	}
	return err
}

// drain ends the server: nobody new, then all subscribers, and then what is left.
func (s *newsroom) drain(ctx context.Context) error {
	s.ln.Drain()
	s.news.Close(errMoved)
	return s.srv.Shutdown(ctx)
}

var errMoved = stream.Statusf(stream.Unavailable, "there is a new edition")

type silent struct{}

func (silent) Message(*stream.Stream, []byte) error { return nil }
func (silent) Closed(*stream.Stream, error)         {}

// reader subscribes, and again when that ends.
type reader struct {
	mu   sync.Mutex
	runs []run           // of those that got anything
	got  [3]atomic.Int64 // messages, by the generation of who published them
}

// run is a subscription: from when to when, of one process, and how it ended.
type run struct {
	generation, first, last int
	end                     error
}

func (r *reader) read(ctx context.Context, cli *stream.Client) error {
	for ctx.Err() == nil {
		st, err := cli.Call(ctx, "/news/Watch", stream.CallOptions{WaitForReady: true})
		var now run
		for err == nil {
			var m []byte
			if m, err = st.Recv(); err == nil {
				err = r.take(&now, string(m))
			}
		}
		if errors.Is(err, errOrder) {
			return err
		}
		if now.end = err; now.first > 0 && ctx.Err() == nil {
			r.mu.Lock()
			r.runs = append(r.runs, now)
			r.mu.Unlock()
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
		}
	}
	return nil
}

var errOrder = errors.New("out of order")

func (r *reader) take(now *run, m string) error {
	g, n, _ := strings.Cut(m, " ")
	generation, _ := strconv.Atoi(g)
	number, _ := strconv.Atoi(n)
	if now.first == 0 {
		*now = run{generation: generation, first: number, last: number - 1}
	}
	if number != now.last+1 || generation != now.generation {
		return fmt.Errorf("%w: %q after %+v", errOrder, m, *now)
	}
	now.last = number
	r.got[generation].Add(1)
	return nil
}

// TestTopic: who watches a topic while its process is replaced, and then ended, has
// all of each process that was published before the end, is told so in a way that
// has him come back, and keeps nobody from ending.
func TestTopic(t *testing.T) {
	dir := t.TempDir()
	s := restarttest.Begin(t, role+"=1", topicDir+"="+dir)
	rt, err := conn.Start(conn.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close()
	at, err := conn.ParseAddr(s.Addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	cli := stream.NewClient(rt, stream.ClientConfig{Targets: []conn.Addr{at}})
	defer cli.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var r reader
	read := make(chan error, 1)
	go func() { read <- r.read(ctx, cli) }()

	for generation, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM} {
		await.Until(t, "it is read", func() bool { return r.got[generation].Load() >= 50 })
		s.Signal(sig)
		if sig == syscall.SIGHUP {
			s.Serves()
		}
	}
	s.Ends(2)
	await.Until(t, "it has ended", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return len(r.runs) >= 2 })
	cancel()
	if err := <-read; err != nil {
		t.Error(err)
	}
	for i, now := range r.runs {
		published, err := os.ReadFile(filepath.Join(dir, strconv.Itoa(i)))
		if err != nil {
			t.Fatal(err)
		}
		if now.generation != i || strconv.Itoa(now.last) != string(published) {
			t.Errorf("run %d: %+v; %s were published", i, now, published)
		}
		if st := stream.StatusOf(now.end); st.Code != stream.Unavailable || st.Message != errMoved.Message {
			t.Errorf("run %d ended with %v", i, st)
		}
	}
}
