package timer

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-go/weir/internal/leak"
)

// newClock is a clock that ends with the test.
func newClock(t testing.TB, cfg ClockConfig) *Clock {
	c, err := NewClock(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// inline is a pool that runs what it is given at once: callbacks are then on
// the clock's goroutine, one after the other.
type inline struct{}

func (inline) Submit(f func()) error { f(); return nil }

// settled waits until the clock's goroutine has done all that was due when it
// was called, provided that its pool is inline.
func settled(c *Clock) {
	done := make(chan struct{})
	for i := range c.shards {
		if s := &c.shards[i]; !s.wall {
			n := make(chan struct{})
			a := &Alarm{shard: s, f: func() { close(n) }}
			a.timer.Init(a)
			s.arm(&a.timer, s.now())
			<-n
		}
	}
	c.AfterFunc(0, func() { close(done) })
	<-done
}

// hold keeps the clock's goroutine busy, so that nothing fires, until release is
// called or the test has failed: however long it takes until then, no instant has
// come. Its pool is inline.
func hold(t *testing.T, c *Clock) (release func()) {
	in, out := make(chan struct{}), make(chan struct{})
	c.AfterFunc(0, func() { close(in); <-out })
	<-in
	release = sync.OnceFunc(func() { close(out) })
	t.Cleanup(release)
	return release
}

// each runs a test on a clock of each precision.
func eachPrecision(t *testing.T, cfg ClockConfig, test func(t *testing.T, c *Clock)) {
	for _, p := range []Precision{Coarse, Fine, Exact} {
		t.Run(p.String(), func(t *testing.T) {
			cfg.Precision = p
			test(t, newClock(t, cfg))
		})
	}
}

func TestAlarmIsNeverEarly(t *testing.T) {
	eachPrecision(t, ClockConfig{Pool: inline{}}, func(t *testing.T, c *Clock) {
		for _, d := range []time.Duration{-time.Hour, 0, 1, time.Microsecond, 300 * time.Microsecond, 3 * time.Millisecond, 12 * time.Millisecond} {
			fired := make(chan Time)
			due := Now().Add(d)
			c.AfterFunc(d, func() { fired <- Now() })
			require.GreaterOrEqual(t, <-fired, due, d)

			due = Now().Add(d)
			<-c.After(d)
			require.GreaterOrEqual(t, Now(), due, d)
		}
	})
}

func TestAlarmStop(t *testing.T) {
	eachPrecision(t, ClockConfig{Pool: inline{}}, func(t *testing.T, c *Clock) {
		release := hold(t, c)
		a := c.AfterFunc(time.Millisecond, func() { t.Error("fired though it was stopped") })
		require.True(t, a.Stop())
		require.False(t, a.Stop(), "stopped already")
		release()

		fired := make(chan struct{})
		a = c.AfterFunc(0, func() { close(fired) })
		<-fired
		require.False(t, a.Stop(), "fired already")
		<-c.After(2 * time.Millisecond) // the first one's instant has passed
		settled(c)
	})
}

// A clock that sleeps for an hour wakes up for what is set to come before.
func TestAlarmResetBothWays(t *testing.T) {
	eachPrecision(t, ClockConfig{Pool: inline{}}, func(t *testing.T, c *Clock) {
		fired := make(chan struct{}, 1)
		a := c.AfterFunc(time.Hour, func() { fired <- struct{}{} })
		require.True(t, a.Reset(time.Millisecond), "active")
		<-fired
		require.False(t, a.Reset(0), "fired")
		<-fired
		release := hold(t, c)
		require.False(t, a.Reset(time.Millisecond))
		require.True(t, a.Reset(time.Hour), "moved away")
		release()
		<-c.After(3 * time.Millisecond)
		settled(c)
		require.Empty(t, fired)
		require.True(t, a.Stop())
	})
}

// What was sent and not received is gone after Stop and Reset, and counts as
// not fired yet, as with a time.Timer since Go 1.23; so is seen what a time.Timer
// answers, next to it.
func TestNoStaleValues(t *testing.T) {
	c := newClock(t, ClockConfig{Pool: inline{}})
	std, a := time.NewTimer(0), c.NewTimer(0)
	both := func(want, got bool) {
		t.Helper()
		require.Equal(t, want, got)
		select {
		case <-a.C:
			t.Error("a value of before")
		case <-std.C:
			t.Error("a value of before from time.Timer")
		default:
		}
	}
	fire := func() { // time.Timer's answers are the same before and after
		t.Helper()
		require.Eventually(t, func() bool { return len(a.C) == 1 }, 20*time.Second, 100*time.Microsecond)
	}
	fire()
	both(std.Stop(), a.Stop())
	both(std.Stop(), a.Stop())
	require.Equal(t, std.Reset(0), a.Reset(0))
	fire()
	both(std.Reset(time.Hour), a.Reset(time.Hour))
	both(std.Reset(time.Hour), a.Reset(time.Hour))
	both(std.Stop(), a.Stop())

	before := time.Now()
	require.Equal(t, std.Reset(0), a.Reset(0))
	require.False(t, (<-a.C).Before(before), "the time that it fired at")
	<-std.C
	both(std.Stop(), a.Stop())
	require.EqualValues(t, 3, c.Stats().Fired)
}

// Every setting ends in one of three ways: it fired, a Stop or a Reset that
// returned true took it back, or it is still there at the end.
func TestEverySettingIsAccountedFor(t *testing.T) {
	const goroutines, each = 64, 400
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c := newClock(t, ClockConfig{Pool: inline{}, Precision: Fine})
	var set, taken, fired atomic.Int64
	var all sync.WaitGroup
	for g := range uint64(goroutines) {
		all.Go(func() {
			r := rand.New(rand.NewPCG(seed, g))
			soon := func() time.Duration { return time.Duration(r.IntN(300)) * time.Microsecond }
			var alarms []*Alarm
			for range each {
				switch n := r.IntN(4); {
				case n < 2 || len(alarms) == 0:
					set.Add(1)
					alarms = append(alarms, c.AfterFunc(soon(), func() { fired.Add(1) }))
				case n == 2:
					if alarms[r.IntN(len(alarms))].Stop() {
						taken.Add(1)
					}
				default:
					set.Add(1)
					if alarms[r.IntN(len(alarms))].Reset(soon()) {
						taken.Add(1)
					}
				}
			}
		})
	}
	all.Wait()
	<-c.After(time.Millisecond)
	settled(c)
	require.Zero(t, c.Stats().Pending)
	require.Equal(t, set.Load(), taken.Load()+fired.Load())
	require.Positive(t, taken.Load())
	require.Equal(t, uint64(fired.Load()), c.Stats().Fired-uint64(len(c.shards))-1, "but for settled's and After's")
}

// No wake-up is lost, however many goroutines set what comes next.
func TestNoLostWake(t *testing.T) {
	eachPrecision(t, ClockConfig{}, func(t *testing.T, c *Clock) {
		var all sync.WaitGroup
		for range 4 * runtime.GOMAXPROCS(0) {
			all.Go(func() {
				for i := range 200 {
					<-c.After(time.Duration(i%7) * 10 * time.Microsecond)
				}
			})
		}
		all.Wait()
	})
}

// However many come due at once, they fire in batches, in their order, and all
// of them.
func TestManyAtOnce(t *testing.T) {
	const all = 10*batch + 7
	c := newClock(t, ClockConfig{Pool: inline{}, Shards: 1})
	var order []int
	done := make(chan struct{})
	s := &c.shards[0]
	due := Now().Add(5 * time.Millisecond)
	s.mu.Lock() // so that none fires before all are set
	for i := range all {
		a := &Alarm{shard: s, f: func() {
			if order = append(order, i); len(order) == all {
				close(done)
			}
		}}
		a.timer.Init(a)
		s.heap.Set(&a.timer, due.Add(time.Duration(i%3)))
	}
	s.armed(due)
	<-done
	for i := 1; i < all; i++ {
		a, b := order[i-1], order[i]
		require.True(t, a%3 < b%3 || a%3 == b%3 && a < b, "%d before %d", a, b)
	}
}

// A callback may use its clock as anybody else.
func TestCallbackMaySetAndStop(t *testing.T) {
	c := newClock(t, ClockConfig{Pool: inline{}, Shards: 1})
	done := make(chan int)
	n := 0
	var a, other *Alarm
	start := make(chan struct{})
	other = c.AfterFunc(time.Hour, func() {})
	a = c.AfterFunc(0, func() {
		<-start
		if n++; n < 5 {
			a.Reset(0)
			return
		}
		require.True(t, other.Stop())
		done <- n
	})
	close(start)
	require.Equal(t, 5, <-done)
}

func TestNilPoolGivesAGoroutineEach(t *testing.T) {
	c := newClock(t, ClockConfig{})
	both := make(chan struct{})
	c.AfterFunc(0, func() { both <- struct{}{} })
	c.AfterFunc(0, func() { <-both })
	c.AfterFunc(0, func() { <-both }) // one waits for the other: on one goroutine neither would end
	both <- struct{}{}
}

func TestSleep(t *testing.T) {
	c, err := NewClock(ClockConfig{})
	require.NoError(t, err)
	due := Now().Add(time.Millisecond)
	require.NoError(t, c.Sleep(t.Context(), time.Millisecond))
	require.GreaterOrEqual(t, Now(), due)

	why := context.DeadlineExceeded
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	require.ErrorIs(t, c.Sleep(ctx, time.Hour), why)
	require.Zero(t, c.Stats().Pending, "the sleep's timer is stopped")

	ended := make(chan error)
	go func() { ended <- c.Sleep(context.Background(), time.Hour) }()
	require.Eventually(t, func() bool { return c.Stats().Pending == 1 }, 20*time.Second, time.Millisecond)
	require.NoError(t, c.Close())
	require.ErrorIs(t, <-ended, ErrClockClosed)
	require.ErrorIs(t, c.Sleep(context.Background(), time.Hour), ErrClockClosed)
}

func TestCloseEndsEverything(t *testing.T) {
	leak.FDs(t)
	for _, p := range []Precision{Coarse, Fine, Exact} {
		c, err := NewClock(ClockConfig{Precision: p, Pool: inline{}})
		require.NoError(t, err)
		a := c.AfterFunc(time.Hour, func() { t.Error("fired by Close") })
		b := c.NewTimer(time.Hour)
		tk, err := c.NewTicker(TickerConfig{Period: time.Hour})
		require.NoError(t, err)
		onTheWall, err := c.NewTicker(TickerConfig{Period: time.Hour, Align: true})
		require.NoError(t, err)
		require.NoError(t, c.Close())
		require.NoError(t, c.Close(), "again")
		require.False(t, a.Stop())
		require.False(t, a.Reset(0), "fires no more")
		require.Empty(t, b.C)
		require.False(t, c.AfterFunc(0, func() { t.Error("fired after Close") }).Stop())
		_, err = tk.Wait(t.Context())
		require.ErrorIs(t, err, ErrClockClosed)
		require.ErrorIs(t, tk.Reset(time.Millisecond), ErrClockClosed)
		require.ErrorIs(t, tk.Pace(time.Millisecond), ErrClockClosed)
		tk.Stop()
		for _, align := range []bool{false, true} {
			_, err = c.NewTicker(TickerConfig{Period: time.Hour, Align: align})
			require.ErrorIs(t, err, ErrClockClosed)
		}
		require.ErrorIs(t, onTheWall.Reset(time.Hour), ErrClockClosed)
		require.Empty(t, c.aligned.all, "no ticker is kept")
		require.Zero(t, c.Stats().Pending)
	}
}

// Close returns when the callback that is under way has.
func TestCloseWaitsForTheCallback(t *testing.T) {
	c, err := NewClock(ClockConfig{Pool: inline{}})
	require.NoError(t, err)
	in, out := make(chan struct{}), make(chan struct{})
	var over atomic.Bool
	c.AfterFunc(0, func() { close(in); <-out; over.Store(true) })
	<-in
	closed := make(chan bool)
	go func() { _ = c.Close(); closed <- over.Load() }()
	close(out)
	require.True(t, <-closed)
}

func TestPanicIsHandedOver(t *testing.T) {
	type report struct {
		v     any
		stack string
	}
	reports := make(chan report)
	c := newClock(t, ClockConfig{Panicked: func(v any, stack []byte) { reports <- report{v, string(stack)} }})
	var tk *Ticker
	set := make(chan struct{})
	tk, err := c.NewTicker(TickerConfig{Period: time.Millisecond, Func: func(Tick) {
		<-set
		tk.Stop()
		panic("at work")
	}})
	require.NoError(t, err)
	close(set)
	r := <-reports
	require.Equal(t, "at work", r.v)
	require.Contains(t, r.stack, "TestPanicIsHandedOver")
	require.NoError(t, tk.Drain(t.Context()), "not counted as running any more")
	<-c.After(0) // the clock goes on
	require.EqualValues(t, 1, c.Stats().Panics)
}

// So is one of Stepped.
func TestPanicOfStepped(t *testing.T) {
	panicked := make(chan any, 1)
	c := newClock(t, ClockConfig{
		Stepped:  func(Step) { panic("stepped") },
		Panicked: func(v any, _ []byte) { panicked <- v },
	})
	c.stepped(Step{})
	require.Equal(t, "stepped", <-panicked)
}

func TestWhatAlarmsCost(t *testing.T) {
	c := newClock(t, ClockConfig{Pool: inline{}})
	a := c.AfterFunc(time.Hour, func() {})
	require.Zero(t, testing.AllocsPerRun(1000, func() { a.Reset(time.Hour) }), "Reset")
	require.Zero(t, testing.AllocsPerRun(1000, func() { a.Stop(); a.Reset(time.Hour) }), "Stop, Reset")
	f := func() {}
	require.EqualValues(t, 1, testing.AllocsPerRun(1000, func() { c.AfterFunc(time.Hour, f).Stop() }), "AfterFunc")
}

// What is past when it is set was slept for by nobody.
func TestPastIsNotLate(t *testing.T) {
	c := newClock(t, ClockConfig{Pool: inline{}})
	done := make(chan struct{})
	c.AfterFunc(-1<<62, func() { close(done) })
	<-done
	require.Less(t, c.Stats().Late.Max, 24*time.Hour)
}

// A C that was set to something else costs the value and not the clock.
func TestChannelTakenAway(t *testing.T) {
	c := newClock(t, ClockConfig{})
	a := c.NewTimer(-1)
	taken := a.C
	for len(taken) == 0 {
		runtime.Gosched()
	}
	a.C = nil
	a.Reset(-1)
	require.NoError(t, c.Sleep(t.Context(), time.Millisecond))
}

func TestPrecisionString(t *testing.T) {
	require.Equal(t, "coarse fine exact Precision(9)", Coarse.String()+" "+Fine.String()+" "+Exact.String()+" "+Precision(9).String())
	require.Equal(t, "monotonic boottime", Monotonic.String()+" "+Boottime.String())
}

// The thread's help is told, whatever it is.
func TestStatsTellWhatWasGranted(t *testing.T) {
	eachPrecision(t, ClockConfig{}, func(t *testing.T, c *Clock) {
		<-c.After(0)
		s := c.Stats()
		require.Equal(t, c.cfg.Precision, s.Precision)
		if c.cfg.Precision == Coarse {
			require.Equal(t, "none", s.Help)
		} else if runtime.GOOS == "linux" {
			require.Contains(t, s.Help, "slack")
		}
	})
}
