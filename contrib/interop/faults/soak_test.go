//go:build linux

package faults

import (
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weir-go/weir/internal/await"
	"github.com/weir-go/weir/internal/leak"
)

// soakFor is how long the soak takes: WEIR_FAULTS_SOAK, five minutes, or a moment.
func soakFor(t *testing.T) time.Duration {
	if s := os.Getenv("WEIR_FAULTS_SOAK"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if long() {
		return 5 * time.Minute
	}
	return 2 * time.Second
}

// TestSoak: clients of grpc-go's, near, behind a bad network, and stopped and
// woken at random; peers that misbehave; h2load, if it is there; all together
// more than the server has descriptors and goroutines for. Each message comes
// once and in order, the server's counters know of each refusal, and when all
// have gone nothing of them is left.
func TestSoak(t *testing.T) {
	leak.FDs(t)
	server := begin(t, "weir", "LIMIT=256", "QUICK=1", "SOAK=1", "QUIET=1")
	addr := server.ready[0]
	before := rested(t, server, addr)
	p, err := newProxy(addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var all sync.WaitGroup
	all.Go(func() { p.run(ctx) })
	var visits atomic.Int64
	for range 20 {
		all.Go(func() { visits.Add(int64(misbehave(ctx, addr))) })
	}
	near := begin(t, "load", "ADDR="+addr, "N=100", "ROVING=1")
	far := begin(t, "load", "ADDR="+p.ln.Addr().String(), "N=60", "ROVING=1")
	sleepy := begin(t, "load", "ADDR="+addr, "N=60", "ROVING=1")
	var stops, others int
	all.Go(func() { stops = disturb(ctx, sleepy) })
	all.Go(func() { others = h2load(ctx, addr) })
	<-time.After(soakFor(t))

	var n, f, s tally
	for end := time.Now().Add(await.Patience); ; {
		near.ask(&n)
		if n.Granted+n.Once > 0 && n.Shed+n.Away > 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("too little has happened: %+v", n)
		}
		<-time.After(50 * time.Millisecond)
	}
	cancel()
	all.Wait()
	far.ask(&f)
	sleepy.ask(&s)
	near.ask(&n)
	for _, load := range []*process{near, far, sleepy} {
		load.end()
	}
	after := settled(t, server, before)
	t.Logf("near:   %+v", n)
	t.Logf("far:    %+v; %d connections passed, %d reset, %d cut, %d slow", f, p.passed, p.reset, p.cut, p.slowed)
	t.Logf("sleepy: %+v; stopped %d times", s, stops)
	t.Logf("%d rude visits, %d runs of h2load", visits.Load(), others)
	t.Logf("server: %+v, before: %+v", after, before)
	if n.Silent+n.Lost+n.Mute+n.Wrong+f.Wrong+s.Wrong > 0 {
		t.Errorf("near: refused without a word %d, lost %d, without an answer %d; wrong: %d %d %d",
			n.Silent, n.Lost, n.Mute, n.Wrong, f.Wrong, s.Wrong)
	}
	if after.Twice+after.Disorder > 0 || after.Panics+after.Overdrawn > 0 {
		t.Errorf("%d calls served twice, %d messages out of order, %d panics, %d given back too often",
			after.Twice, after.Disorder, after.Panics, after.Overdrawn)
	}
	if after.Served < n.Once+f.Once+s.Once {
		t.Errorf("%d calls were served, %d answered", after.Served, n.Once+f.Once+s.Once)
	}
	for _, c := range []struct {
		what  string
		seen  int64
		knows uint64
	}{
		{"admission", n.Shed + f.Shed + s.Shed, after.NotAdmitted},
		{"no room", n.Away + f.Away + s.Away, after.Farewells},
		{"no goroutine", n.Busy + f.Busy + s.Busy, after.NoWorker},
		{"sent away", n.Sent + f.Sent + s.Sent, after.SentAway},
	} {
		if c.seen > int64(c.knows) {
			t.Errorf("%s: clients were told %d times, the server knows of %d", c.what, c.seen, c.knows)
		}
	}
}

// rested has the server be used a little, and returns what it holds then.
func rested(t *testing.T, server *process, addr string) (a account) {
	t.Helper()
	warm := begin(t, "load", "ADDR="+addr, "N=5")
	var w tally
	await.Until(t, "the server works", func() bool { warm.ask(&w); return w.Granted == 5 })
	warm.end()
	await.Until(t, "it is at rest", func() bool { server.ask(&a); return a.Conns == 0 && a.Streams == 0 && a.Taken == 0 && a.Timers == 0 })
	return a
}

// settled waits until the server holds no more than before.
func settled(t *testing.T, server *process, before account) (a account) {
	t.Helper()
	for end := time.Now().Add(2 * await.Patience); ; {
		server.ask(&a)
		empty := a.Conns == 0 && a.Sessions == 0 && a.Streams == 0 && a.Bytes == 0 && a.Held == 0 && a.Taken == 0
		if empty && a.Timers <= before.Timers && a.FDs <= before.FDs {
			return a
		}
		if time.Now().After(end) {
			t.Fatalf("not at rest: %+v, before %+v", a, before)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// disturb stops a process and has it go on, at random, until ctx ends.
func disturb(ctx context.Context, p *process) (n int) {
	for ; ctx.Err() == nil; n++ {
		wait(ctx, rand.N(2*time.Second))
		p.Process.Signal(syscall.SIGSTOP)
		wait(ctx, rand.N(2*time.Second))
		p.Process.Signal(syscall.SIGCONT)
	}
	return n
}

// h2load runs it until ctx ends, if it is there.
func h2load(ctx context.Context, addr string) (n int) {
	path, err := exec.LookPath("h2load")
	if err != nil {
		return 0
	}
	for ; ctx.Err() == nil; n++ {
		exec.CommandContext(ctx, path, "-n", "200", "-c", "4", "-m", "4", "-T", "5", "http://"+addr+"/faults.F/Once").Run()
		wait(ctx, time.Second)
	}
	return n
}
