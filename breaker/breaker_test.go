package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/breaker"
	"github.com/weir-go/weir/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

var errDown = errors.New("down")

// calls makes n of them that end so, and returns how many were let through.
func calls(b *breaker.Breakers, n int, end error) (let int) {
	for range n {
		if err := b.Do("d", func() error { let++; return end }); err != end && !errors.Is(err, breaker.ErrOpen) {
			panic(err)
		}
	}
	return let
}

func retryAfter(t *testing.T, b *breaker.Breakers) time.Duration {
	t.Helper()
	var open *breaker.OpenError
	if err := b.Do("d", func() error { return nil }); !errors.As(err, &open) || open.Destination != "d" {
		t.Fatalf("%v", err)
	}
	return open.RetryAfter
}

// TestOpens when half of 20 calls have failed, and not before; others than that
// destination go on.
func TestOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New(breaker.Config{})
		if n := calls(b, 10, nil) + calls(b, 9, errDown); n != 19 {
			t.Fatalf("%d let through", n)
		}
		if n := calls(b, 30, errDown); n != 1 {
			t.Fatalf("%d let through after half of 19 have failed", n)
		}
		if err := b.Do("other", func() error { return nil }); err != nil {
			t.Error(err)
		}
		if s := b.Stats(); s.Opened != 1 || s.Open != 1 || s.Refused != 29 || s.Destinations != 2 {
			t.Errorf("%+v", s)
		}
	})
}

// TestOldCallsAreForgotten: the window moves on.
func TestOldCallsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New(breaker.Config{})
		for range 10 { // 19 failures in each window, never 20
			if n := calls(b, 19, errDown); n != 19 {
				t.Fatalf("%d let through", n)
			}
			<-time.After(11 * time.Second)
		}
		calls(b, 10, errDown)
		<-time.After(6 * time.Second)
		if n := calls(b, 30, errDown); n != 10 {
			t.Errorf("%d let through after 10 of 6 s ago", n)
		}
	})
}

// TestOpenTimesGrow by two from 5 s to 60 s, within a fifth, as probes fail, and
// begin anew when it has been closed.
func TestOpenTimesGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var changes []string
		b := breaker.New(breaker.Config{Changed: func(d, from, to string) { changes = append(changes, from+" "+to) }})
		calls(b, 20, errDown)
		for _, want := range []time.Duration{5, 10, 20, 40, 60, 60} {
			d := retryAfter(t, b)
			if want *= time.Second; d < want*4/5 || d > want*6/5 {
				t.Errorf("open for %v, want some %v", d, want)
			}
			<-time.After(d - 1)
			if n := calls(b, 1, nil); n != 0 {
				t.Error("let through before its time")
			}
			<-time.After(2)
			if n := calls(b, 5, errDown); n != 1 {
				t.Errorf("%d probes, the first of which fails", n)
			}
		}
		<-time.After(retryAfter(t, b) + 2)
		if n := calls(b, 10, nil); n != 10 {
			t.Errorf("%d let through when probes succeed", n)
		}
		if s := b.Stats(); s.Open != 0 {
			t.Errorf("%d are open", s.Open)
		}
		calls(b, 20, errDown)
		if d := retryAfter(t, b); d > 6*time.Second {
			t.Errorf("open for %v after it has been closed", d)
		}
		want := []string{"closed open", "half-open closed", "closed open"}
		if got := slices.DeleteFunc(changes, func(c string) bool { return c == "open half-open" || c == "half-open open" }); !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
	})
}

// TestProbesAreFew: three at a time while it is half-open, and one that does not
// end lets no more in.
func TestProbesAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New(breaker.Config{})
		calls(b, 20, errDown)
		<-time.After(7 * time.Second)
		var under []func(error)
		for range 10 {
			if done, err := b.Allow("d"); err == nil {
				under = append(under, done)
			}
		}
		if len(under) != 3 {
			t.Fatalf("%d probes", len(under))
		}
		for _, done := range under {
			done(nil)
		}
		if n := calls(b, 5, nil); n != 5 {
			t.Errorf("%d let through after that", n)
		}
	})
}

// TestOurOwnFaultsDoNotCount, whichever they are, neither closed nor half-open;
// what is the destination's does.
func TestOurOwnFaultsDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own := []error{
			os.NewSyscallError("socket", syscall.EMFILE), os.NewSyscallError("socket", syscall.ENFILE),
			fmt.Errorf("dial: %w", syscall.ENOBUFS), syscall.ENOMEM, fmt.Errorf("call: %w", context.Canceled),
			&bounds.Refusal{}, &breaker.OpenError{},
		}
		b := breaker.New(breaker.Config{})
		for _, err := range own {
			if n := calls(b, 50, err); n != 50 {
				t.Errorf("%v: %d of 50 let through", err, n)
			}
		}
		for _, err := range []error{syscall.ECONNREFUSED, context.DeadlineExceeded, syscall.ECONNRESET} {
			if breaker.Local(err) {
				t.Errorf("%v is nobody's fault", err)
			}
		}
		if n := calls(b, 30, syscall.ECONNREFUSED); n != 20 {
			t.Errorf("%d of 30 refused connections let through", n)
		}
		<-time.After(7 * time.Second)
		if n := calls(b, 10, own[0]); n != 10 {
			t.Errorf("%d of 10 probes that failed here let through", n)
		}
		if n := calls(b, 3, nil); n != 3 {
			t.Errorf("%d of 3 probes", n)
		}
	})
}

func TestPanicIsAFailure(t *testing.T) {
	b := breaker.New(breaker.Config{Calls: 1})
	func() {
		defer func() {
			if recover() != "boom" {
				t.Error("the panic is lost")
			}
		}()
		b.Do("d", func() error { panic("boom") })
	}()
	if n := calls(b, 1, nil); n != 0 {
		t.Error("let through")
	}
}

// TestDestinationsAreBounded: the least lately used goes.
func TestDestinationsAreBounded(t *testing.T) {
	b := breaker.New(breaker.Config{Destinations: 10, Calls: 1})
	calls(b, 1, errDown)
	for i := range 100 {
		if calls(b, 1, nil) != 0 { // it is used all the time
			t.Fatal("forgotten")
		}
		b.Do(fmt.Sprint(i), func() error { return nil })
	}
	if s := b.Stats(); s.Destinations != 10 || s.Forgotten != 91 {
		t.Errorf("%+v", s)
	}
	for i := range 10 {
		b.Do(fmt.Sprint("new", i), func() error { return nil })
	}
	if calls(b, 1, nil) != 1 {
		t.Error("not forgotten though others were used since")
	}
}

// TestAnyCalls: whatever comes of them, an open breaker lets nothing through
// before its time, and one whose destination has come back closes.
func TestAnyCalls(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(seed, 0))
		for range 50 {
			b := breaker.New(breaker.Config{Calls: 1 + r.IntN(20)})
			bad := 0.0
			for range 500 {
				if r.IntN(50) == 0 {
					bad = r.Float64()
				}
				end := error(nil)
				if r.Float64() < bad {
					end = errDown
				}
				calls(b, 1, end)
				<-time.After(time.Duration(r.IntN(2000)) * time.Millisecond)
			}
			for range 200 {
				calls(b, 1, nil)
				<-time.After(time.Second)
			}
			if n := calls(b, 10, nil); n != 10 {
				t.Fatalf("%d of 10 let through, 200 s after it came back", n)
			}
		}
	})
}

func ExampleBreakers_Do() {
	b := breaker.New(breaker.Config{Calls: 2})
	down := errors.New("no answer")
	for range 3 {
		err := b.Do("shop:443", func() error { return down })
		fmt.Println(err == down, errors.Is(err, breaker.ErrOpen))
	}
	// Output:
	// true false
	// true false
	// false true
}
