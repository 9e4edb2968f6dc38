package timer

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// maker makes contexts: this package or package context.
type maker struct {
	name  string
	cause func(context.Context, time.Time, error) (context.Context, context.CancelFunc)
}

// TestContextsAgree runs what one may do with a context that has a deadline on
// package context's and on a clock's, and wants the same to be seen.
func TestContextsAgree(t *testing.T) {
	c := newClock(t, ClockConfig{})
	errWhy, errParent := errors.New("why"), errors.New("parent's")
	type parent struct {
		ctx    context.Context
		cancel context.CancelCauseFunc
	}
	long := time.Hour
	cases := []struct {
		name  string
		after time.Duration
		cause error
		do    func(p parent, cancel context.CancelFunc)
		ends  bool
	}{
		{name: "runs", after: long},
		{name: "deadline", after: time.Millisecond, ends: true},
		{name: "deadline with cause", after: time.Millisecond, cause: errWhy, ends: true},
		{name: "deadline of before", after: -1, ends: true},
		{name: "deadline of before with cause", after: -1, cause: errWhy, ends: true},
		{name: "cancel", after: long, cause: errWhy, do: func(_ parent, cancel context.CancelFunc) { cancel() }, ends: true},
		{name: "cancel twice", after: long, do: func(_ parent, cancel context.CancelFunc) { cancel(); cancel() }, ends: true},
		{name: "parent", after: long, do: func(p parent, _ context.CancelFunc) { p.cancel(nil) }, ends: true},
		{name: "parent with cause", after: long, cause: errWhy, do: func(p parent, _ context.CancelFunc) { p.cancel(errParent) }, ends: true},
		{name: "cancel, then parent", after: long, do: func(p parent, cancel context.CancelFunc) { cancel(); p.cancel(errParent) }, ends: true},
		{name: "parent, then cancel", after: long, do: func(p parent, cancel context.CancelFunc) { p.cancel(errParent); cancel() }, ends: true},
	}
	type key struct{}
	see := func(m maker, i int) (seen []any) {
		ctx, cancelParent := context.WithCancelCause(context.WithValue(context.Background(), key{}, "value"))
		p := parent{ctx, cancelParent}
		defer p.cancel(nil)
		at := time.Now().Add(cases[i].after)
		x, cancel := m.cause(p.ctx, at, cases[i].cause)
		defer cancel()
		child, cancelChild := context.WithCancel(x)
		defer cancelChild()
		grandchild, cancelGrandchild := context.WithTimeout(child, 2*time.Hour)
		defer cancelGrandchild()
		called := make(chan struct{})
		stop := context.AfterFunc(x, func() { close(called) })
		if cases[i].do != nil {
			cases[i].do(p, cancel)
		}
		if cases[i].ends {
			<-x.Done()
			<-child.Done()
			<-grandchild.Done()
			<-called
		}
		for _, ctx := range []context.Context{x, child, grandchild} {
			d, ok := ctx.Deadline()
			seen = append(seen, ctx.Err(), context.Cause(ctx), d.Equal(at), ok, ctx.Value(key{}))
		}
		return append(seen, stop())
	}
	for i := range cases {
		t.Run(cases[i].name, func(t *testing.T) {
			require.Equal(t,
				see(maker{"context", context.WithDeadlineCause}, i),
				see(maker{"clock", c.WithDeadlineCause}, i))
		})
	}
	require.Zero(t, c.Stats().Pending, "every context was cancelled: no timer is left")
}

// After the parent was cancelled nobody sees the context alive.
func TestParentsEndIsSeenAtOnce(t *testing.T) {
	c := newClock(t, ClockConfig{})
	for range 1000 {
		parent, cancelParent := context.WithCancel(context.Background())
		x, cancel := c.WithTimeout(parent, time.Hour)
		held := x.Done()
		cancelParent()
		select {
		case <-x.Done():
		default:
			t.Fatal("Done is open after the parent's end")
		}
		require.ErrorIs(t, x.Err(), context.Canceled)
		<-held
		cancel()

		parent, cancelParent = context.WithCancel(context.Background())
		x, cancel = c.WithTimeout(parent, time.Hour)
		cancelParent()
		require.ErrorIs(t, x.Err(), context.Canceled, "Err is asked first")
		cancel()
	}
	require.Zero(t, c.Stats().Pending)
}

// A parent that ends before makes the deadline superfluous.
func TestEarlierParentIsEnough(t *testing.T) {
	c := newClock(t, ClockConfig{})
	parent, cancelParent := context.WithTimeout(context.Background(), time.Hour)
	defer cancelParent()
	x, cancel := c.WithTimeout(parent, 2*time.Hour)
	defer cancel()
	require.Zero(t, c.Stats().Pending)
	at, _ := parent.Deadline()
	got, ok := x.Deadline()
	require.True(t, ok)
	require.Equal(t, at, got)
}

func TestContextsEndWithTheirClock(t *testing.T) {
	c, err := NewClock(ClockConfig{})
	require.NoError(t, err)
	x, cancel := c.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	far, cancelFar := c.WithDeadline(context.Background(), time.Now().Add(1<<62))
	defer cancelFar()
	require.NoError(t, c.Close())
	late, cancelLate := c.WithTimeout(context.Background(), time.Hour)
	defer cancelLate()
	for _, ctx := range []context.Context{x, far, late} {
		<-ctx.Done()
		require.ErrorIs(t, ctx.Err(), context.Canceled)
		require.ErrorIs(t, context.Cause(ctx), ErrClockClosed)
	}
}

// Ends come from all sides at once; each context has one.
func TestContextsUnderContention(t *testing.T) {
	c := newClock(t, ClockConfig{})
	var all sync.WaitGroup
	for g := range 16 {
		all.Go(func() {
			for i := range 200 {
				parent, cancelParent := context.WithCancel(context.Background())
				x, cancel := c.WithTimeout(parent, time.Duration(i%5)*50*time.Microsecond)
				child, cancelChild := context.WithCancel(x)
				var ends sync.WaitGroup
				ends.Go(cancelParent)
				ends.Go(func() { <-child.Done() })
				if g%2 == 0 {
					ends.Go(cancel)
				}
				ends.Wait()
				<-x.Done()
				err := x.Err()
				require.True(t, errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded))
				cancel()
				require.Equal(t, err, x.Err(), "the first word is the last")
				cancelChild()
			}
		})
	}
	all.Wait()
	require.Zero(t, c.Stats().Pending)
}

// fmt does not read what other goroutines change.
func TestContextsPrint(t *testing.T) {
	c := newClock(t, ClockConfig{})
	ctx, cancel := c.WithTimeout(t.Context(), time.Hour)
	go cancel()
	require.Contains(t, fmt.Sprint(ctx), ".WithDeadline(")
}

// Contexts behind one that only carries a value are in package context's tree as
// well: they have ended when cancel has returned, and none costs a goroutine.
func TestContextsBehindAValue(t *testing.T) {
	type key struct{}
	c := newClock(t, ClockConfig{})
	ctx, cancel := c.WithTimeout(t.Context(), time.Hour)
	before := runtime.NumGoroutine()
	var all []context.Context
	for range 100 {
		child, cancel := context.WithCancel(context.WithValue(ctx, key{}, 1))
		t.Cleanup(cancel)
		all = append(all, child)
	}
	require.Less(t, runtime.NumGoroutine(), before+50)
	cancel()
	for _, child := range all {
		require.ErrorIs(t, child.Err(), context.Canceled)
	}
	ctx, cancel = c.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	child, stop := context.WithCancel(context.WithValue(ctx, key{}, 1))
	defer stop()
	<-child.Done()
	require.ErrorIs(t, child.Err(), context.DeadlineExceeded)
}
