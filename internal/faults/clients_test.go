//go:build linux

package faults

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// What happens to clients.
type tally struct {
	granted atomic.Int64 // streams that were let in
	shed    atomic.Int64 // streams refused in so many words, and unary offered instead
	busy    atomic.Int64 // connections refused in so many words
	silent  atomic.Int64 // refused without a word: reset, closed, or no answer at all
	lost    atomic.Int64 // streams that were let in and ended all the same
	beats   atomic.Int64 // answered
	unary   atomic.Int64 // answered
	mute    atomic.Int64 // unary that were not

	mu  sync.Mutex
	why map[string]int // silent, lost, mute
}

func (t *tally) blame(n *atomic.Int64, what string, err error) {
	n.Add(1)
	why := err.Error()
	if i := strings.LastIndex(why, ": "); i >= 0 {
		why = why[i+2:]
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.why == nil {
		t.why = map[string]int{}
	}
	t.why[what+": "+why]++
}

func (t *tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return fmt.Sprintf("streams %d, refused with a word: %d streams %d connections, without: %d, lost %d, beats %d, unary %d, mute %d %v",
		t.granted.Load(), t.shed.Load(), t.busy.Load(), t.silent.Load(), t.lost.Load(), t.beats.Load(), t.unary.Load(), t.mute.Load(), t.why)
}

const (
	beat    = 100 * time.Millisecond
	answers = 5 * time.Second // how long a client waits for an answer
	again   = 2 * time.Second // and, when it was not told, before it tries again
)

// client comes, asks for a stream, keeps it alive or is refused, and comes again.
type client struct {
	addr string
	t    *tally
}

func (c *client) run(ctx context.Context) {
	for ctx.Err() == nil {
		wait(ctx, c.visit(ctx))
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// line is a connection that asks and is answered by the line.
type line struct {
	net.Conn
	in *bufio.Reader
}

func (l *line) ask(question string) (answer string, n int64, err error) {
	l.SetDeadline(time.Now().Add(answers))
	if _, err := fmt.Fprintln(l, question); err != nil && !errors.Is(err, net.ErrClosed) {
		// A farewell may have come before: it is there to be read.
		answer, n, _ := l.hear()
		if answer == "busy" {
			return answer, n, nil
		}
		return "", 0, err
	}
	return l.hear()
}

func (l *line) hear() (answer string, n int64, err error) {
	text, err := l.in.ReadString('\n')
	if err != nil {
		return "", 0, err
	}
	fmt.Sscan(text, &answer, &n)
	return answer, n, nil
}

// visit returns when to come again.
func (c *client) visit(ctx context.Context) time.Duration {
	nc, err := (&net.Dialer{Timeout: answers}).DialContext(ctx, "tcp", c.addr)
	if err != nil {
		if ctx.Err() == nil {
			c.t.blame(&c.t.silent, "connect", err)
		}
		return again
	}
	l := &line{nc, bufio.NewReader(nc)}
	defer l.Close()
	answer, ms, err := l.ask("stream")
	switch {
	case err != nil:
		c.t.blame(&c.t.silent, "asked", err)
		return again
	case answer == "granted":
		c.t.granted.Add(1)
		c.stay(ctx, l)
	case answer == "shed":
		c.t.shed.Add(1)
		c.unary(ctx, l)
	case answer == "busy":
		c.t.busy.Add(1)
	}
	return time.Duration(ms) * time.Millisecond
}

// stay sends heartbeats until the test ends.
func (c *client) stay(ctx context.Context, l *line) {
	for n := int64(1); ctx.Err() == nil; n++ {
		answer, got, err := l.ask(fmt.Sprint("beat ", n))
		if err == nil && (answer != "ok" || got != n) {
			err = fmt.Errorf("%s %d for %d", answer, got, n)
		}
		if err != nil {
			c.t.blame(&c.t.lost, "stream", err)
			return
		}
		c.t.beats.Add(1)
		wait(ctx, beat)
	}
}

// unary does by single calls what it was refused a stream for.
func (c *client) unary(ctx context.Context, l *line) {
	for range 3 {
		if answer, _, err := l.ask("unary"); err != nil || answer != "done" {
			c.t.blame(&c.t.mute, "unary", errors.Join(err, errors.New(answer)))
			return
		}
		c.t.unary.Add(1)
		wait(ctx, beat)
	}
}

// crowd runs n clients until stop, which waits for them.
func crowd(n int, addr string, t *tally) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for range n {
		all.Go(func() { (&client{addr, t}).run(ctx) })
	}
	return func() { cancel(); all.Wait() }
}

func long() bool { return os.Getenv("WEIR_FAULTS") == "long" }
