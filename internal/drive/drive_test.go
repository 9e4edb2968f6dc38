package drive

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/echo"
	"github.com/weir-go/weir/internal/leak"
	"github.com/weir-go/weir/internal/ports"
)

func TestMain(m *testing.M) { leak.Main(m) }

// runtimeFor starts a runtime for the driver.
func runtimeFor(t testing.TB, loops int) *conn.Runtime {
	t.Helper()
	rt, err := conn.Start(conn.Config{Loops: loops})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, rt.Close()) })
	return rt
}

func serve(t testing.TB, cfg echo.Config) *echo.Server {
	t.Helper()
	server, err := echo.Serve(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	return server
}

// short50 is long enough for some windows of traffic, and nothing is asserted
// about how much.
const short50 = 50 * time.Millisecond

func TestEveryFaceEchoesEverything(t *testing.T) {
	for _, face := range []echo.Face{echo.Callback, echo.Blocking, echo.Std} {
		for name, cfg := range map[string]Config{
			"one small":       {},
			"many":            {Conns: 50, Size: 64},
			"pipelined":       {Conns: 5, Size: 33, Pipeline: 16},
			"large":           {Conns: 3, Size: 16384},
			"beyond the mark": {Conns: 2, Size: 300_000, Pipeline: 10},
			"prime":           {Conns: 7, Size: period, Pipeline: 3},
			"open loop":       {Conns: 4, Rate: 2000},
			"churn":           {Conns: 4, Mode: Churn},
			"churn large":     {Conns: 2, Size: 2_000_000, Mode: Churn},
			"idle":            {Conns: 20, Mode: Idle},
		} {
			t.Run(string(face)+"/"+name, func(t *testing.T) {
				server := serve(t, echo.Config{Face: face})
				cfg.To, cfg.For, cfg.Warmup = server.Addr(), short50, short50/5
				r, err := Run(t.Context(), runtimeFor(t, 2), cfg)
				require.NoError(t, err)
				require.NoError(t, r.Failure)
				require.Zero(t, r.Errors)
				require.Zero(t, r.Mismatches)
				require.NotZero(t, r.Latency.Count())
				require.GreaterOrEqual(t, r.Latency.Count(), r.Requests)
				require.GreaterOrEqual(t, r.Elapsed, short50)
				require.Equal(t, r.BytesOut, r.BytesIn, "everything that went out came back")
				require.Equal(t, r.Latency.Count()*uint64(cmp.Or(cfg.Size, 64)), r.BytesIn)
			})
		}
	}
}

// A Load is measured several times, and is quiet in between: whoever measures
// the server's CPU time from before to after a window counts nothing else.
func TestNothingIsUnderWayBetweenWindows(t *testing.T) {
	server := serve(t, echo.Config{})
	load, err := Open(t.Context(), runtimeFor(t, 2), Config{To: server.Addr(), Conns: 10, Pipeline: 4})
	require.NoError(t, err)
	defer load.Close()
	require.True(t, load.quiet())
	for range 3 {
		r, err := load.Measure(t.Context(), short50/2)
		require.NoError(t, err)
		require.True(t, load.quiet())
		require.NoError(t, r.Failure)
		require.Equal(t, uint64(10), r.Conns)
		require.Equal(t, r.BytesOut, r.BytesIn)
	}
	require.Equal(t, uint64(10), server.Totals().Conns)
}

func TestIdleHoldsItsConnections(t *testing.T) {
	server := serve(t, echo.Config{})
	load, err := Open(t.Context(), runtimeFor(t, 2), Config{To: server.Addr(), Conns: 30, Mode: Idle})
	require.NoError(t, err)
	// Each has had its one message by the time Open returns.
	messages := echo.Totals{Conns: 30, BytesIn: 30 * 64, BytesOut: 30 * 64}
	// Totals may be a turn behind.
	require.Eventually(t, func() bool { return server.Totals() == messages }, time.Minute, time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, err := load.Measure(ctx, 0)
	require.NoError(t, err)
	require.Equal(t, uint64(30), r.Requests)
	require.Equal(t, 30, server.Open())
	require.Equal(t, messages, server.Totals(), "silent meanwhile")
	load.Close()
}

func TestChurnCountsConnections(t *testing.T) {
	server := serve(t, echo.Config{})
	r, err := Run(t.Context(), runtimeFor(t, 2), Config{To: server.Addr(), Conns: 4, Mode: Churn, For: short50})
	require.NoError(t, err)
	require.NoError(t, r.Failure)
	require.Equal(t, r.Latency.Count(), r.Conns-4, "one message a connection; at the start there were 4")
}

func TestUnixSocket(t *testing.T) {
	server := serve(t, echo.Config{At: conn.Unix(t.TempDir() + "/echo")})
	r, err := Run(t.Context(), runtimeFor(t, 1), Config{To: server.Addr(), Conns: 3, For: short50})
	require.NoError(t, err)
	require.NoError(t, r.Failure)
	require.NotZero(t, r.Requests)
}

func TestProgressAddsUp(t *testing.T) {
	server := serve(t, echo.Config{})
	var seen []Snapshot
	r, err := Run(t.Context(), runtimeFor(t, 1), Config{
		To: server.Addr(), For: 10 * short50, Progress: func(s Snapshot) { seen = append(seen, s) },
	})
	require.NoError(t, err)
	require.NotEmpty(t, seen)
	last := seen[len(seen)-1]
	require.LessOrEqual(t, last.Requests, r.Requests)
	require.LessOrEqual(t, last.Elapsed, r.Elapsed)
	require.Positive(t, last.Rate)
}

func TestCancelEndsTheWindow(t *testing.T) {
	server := serve(t, echo.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	load, err := Open(ctx, runtimeFor(t, 1), Config{To: server.Addr()})
	require.NoError(t, err)
	defer load.Close()
	cancel()
	r, err := load.Measure(ctx, time.Hour)
	require.NoError(t, err)
	require.Less(t, r.Elapsed, time.Hour)
}

func TestNobodyListens(t *testing.T) {
	to := conn.TCP(ports.Hold(t))
	rt := runtimeFor(t, 1)

	_, err := Run(t.Context(), rt, Config{To: to, Conns: 3, For: short50})
	require.ErrorContains(t, err, "no connection to "+to.String())
	require.ErrorContains(t, err, "refused")

	// Churn finds out while it measures, and gives up instead of trying on.
	r, err := Run(t.Context(), rt, Config{To: to, Conns: 3, Mode: Churn, For: time.Hour})
	require.NoError(t, err)
	require.Equal(t, uint64(3*mostMisses), r.Errors)
	require.ErrorContains(t, r.Failure, "refused")
	require.Zero(t, r.Requests)
}

func TestOpenEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	_, err := Open(ctx, runtimeFor(t, 1), Config{To: conn.TCP(netip.MustParseAddrPort("127.0.0.1:1"))})
	require.ErrorIs(t, err, why)
}

func TestSomeConnectionsFail(t *testing.T) {
	server := serve(t, echo.Config{Config: conn.Config{MaxConns: 3}})
	r, err := Run(t.Context(), runtimeFor(t, 1), Config{To: server.Addr(), Conns: 5, For: short50})
	require.NoError(t, err)
	require.Equal(t, uint64(2), r.Errors)
	require.NotZero(t, r.Requests, "the others were measured")
}

func TestImpossibleConfigs(t *testing.T) {
	for want, cfg := range map[string]Config{
		"Conns":    {Conns: -1},
		"Size":     {Size: 1 << 30},
		"Pipeline": {Pipeline: 1 << 20},
		"Rate":     {Rate: -5},
	} {
		_, err := Run(t.Context(), runtimeFor(t, 1), cfg)
		require.ErrorContains(t, err, want)
	}
}

// The path of a message through the driver allocates nothing.
func TestSteadyPathDoesNotAllocate(t *testing.T) {
	l := &Load{cfg: Config{Conns: 1, Size: 64, Pipeline: 4}, base: time.Now(), pattern: newPattern(1, 256), tallies: make([]tally, 1)}
	l.tallies[0].take()
	l.tallies[0].open = true
	p := &l.newPeers()[0]
	p.tally = &l.tallies[0]
	p.out = p.due(l.now())
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		now := l.now()
		if err := l.pattern.check(&p.reading, l.pattern.next(p.reading, 128)); err != nil {
			t.Fatal(err)
		}
		p.record(2, now)
		p.out -= 2
		p.out += p.due(now)
	}))
	require.Equal(t, 4, p.out)
}
