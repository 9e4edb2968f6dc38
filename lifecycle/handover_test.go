package lifecycle_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-go/weir/lifecycle"
)

// line is a Health and a Handover that note what they are told.
type line struct {
	*record
	left    chan struct{}
	results chan error // of Restart; nil is a successor
	closed  time.Time
}

func newLine(results ...error) *line {
	l := &line{record: &record{}, left: make(chan struct{}), results: make(chan error, len(results))}
	for _, err := range results {
		l.results <- err
	}
	return l
}

func (l *line) Serve()                { l.add("serve") }
func (l *line) Drain(reason string)   { l.add("drain " + reason) }
func (l *line) Leave()                { l.add("leave") }
func (l *line) Ready() error          { l.add("ready"); return nil }
func (l *line) Close() error          { l.add("close"); l.closed = time.Now(); return nil }
func (l *line) Left() <-chan struct{} { return l.left }

func (l *line) Restart(ctx context.Context) error {
	l.add("restart")
	select {
	case err := <-l.results:
		if err == nil {
			close(l.left)
		}
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *line) kit() lifecycle.Kit {
	return lifecycle.Kit{Health: l, Handover: l, Parts: []lifecycle.Part{
		l.part("grpc", lifecycle.Servers, nil), l.part("jobs", lifecycle.Tasks, nil),
		l.part("db", lifecycle.Clients, nil), l.part("runtime", lifecycle.Sockets, nil),
	}}
}

const (
	opened = "open runtime, ping runtime, open db, ping db, open jobs, ping jobs, open grpc, ping grpc, serve, ready"
	ended  = "close, stop grpc, stop jobs, stop db, stop runtime"
)

func (l *line) want(t *testing.T, all string) {
	t.Helper()
	if got := strings.Join(l.all, ", "); got != all {
		t.Errorf("got  %s\nwant %s", got, all)
	}
}

// TestNotice: the program is draining, and serves, for Notice; then servers end
// first.
func TestNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine()
		kit := l.kit()
		kit.Notice, kit.Signals, kit.Restarts = 7*time.Second, []os.Signal{}, []os.Signal{}
		ctx, cancel := context.WithCancelCause(t.Context())
		began := time.Now()
		var notice time.Duration
		kit.Ready = func() { cancel(errors.New("enough")) }
		kit.Parts = append(kit.Parts, lifecycle.Part{Name: "tcp", Stage: lifecycle.Servers,
			Stop: func(context.Context) error { notice = time.Since(began); return nil }})
		if err := kit.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if notice != 7*time.Second {
			t.Errorf("the first part ended after %v", notice)
		}
		if after := l.closed.Sub(began); after != 7*time.Second {
			t.Errorf("the handover, and with it the files of its sockets, after %v", after)
		}
		l.want(t, opened+", drain enough, "+ended)
	})
}

// TestSuccessor is asked for by signals: one that does not come to be changes
// nothing, and the one that does ends the program without notice.
func TestSuccessor(t *testing.T) {
	broken := errors.New("broken")
	l := newLine(broken, nil)
	kit := l.kit()
	kit.Notice = time.Hour
	kit.Restarts = []os.Signal{syscall.SIGUSR2}
	again := func() {
		if err := syscall.Kill(os.Getpid(), syscall.SIGUSR2); err != nil {
			t.Error(err)
		}
	}
	var mu sync.Mutex
	var told []error
	kit.Ready = again
	kit.Restarted = func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if told = append(told, err); err != nil {
			again()
		}
	}
	if err := kit.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(told, []error{broken, nil}) {
		t.Errorf("told %v", told)
	}
	l.want(t, opened+", restart, restart, leave, "+ended)
}

// TestEndWhileASuccessorStarts: nobody is waited for who is not ready.
func TestEndWhileASuccessorStarts(t *testing.T) {
	l := newLine()
	kit := l.kit()
	kit.Restarts, kit.Signals = []os.Signal{syscall.SIGUSR2}, []os.Signal{}
	ctx, cancel := context.WithCancelCause(t.Context())
	var told error
	kit.Restarted = func(err error) { told = err }
	kit.Handover = asked{l, func() { cancel(errors.New("enough")) }}
	kit.Ready = func() { syscall.Kill(os.Getpid(), syscall.SIGUSR2) }
	if err := kit.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(told, context.Canceled) {
		t.Errorf("the attempt ended with %v", told)
	}
	l.want(t, opened+", restart, drain enough, "+ended)
}

// asked calls a function as soon as a successor is asked for.
type asked struct {
	*line
	then func()
}

func (a asked) Restart(ctx context.Context) error {
	defer a.line.Restart(ctx)
	a.then()
	<-ctx.Done()
	return ctx.Err()
}
