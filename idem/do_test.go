package idem_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-go/weir/idem"
)

var (
	bg   = context.Background()
	key  = idem.Key{Space: "shop", Operation: "charge", ID: "order 4711"}
	redo = idem.Policy{Unknown: idem.Redo(), Lease: 10 * time.Second, Retain: time.Hour}
)

// says returns an fn that returns that, and counts its runs.
func says(result string, runs *atomic.Int32) idem.Func {
	return func(context.Context, *idem.Attempt) ([]byte, error) {
		runs.Add(1)
		return []byte(result), nil
	}
}

func never(t *testing.T) idem.Func {
	return func(context.Context, *idem.Attempt) ([]byte, error) {
		t.Error("fn was run")
		return nil, nil
	}
}

func check(t *testing.T, ok bool, what string, got any) {
	t.Helper()
	if !ok {
		t.Errorf("%s: %+v", what, got)
	}
}

func TestOnce(t *testing.T) {
	c := &idem.Client{Store: new(idem.Memory)}
	var runs atomic.Int32
	first, err := c.Do(bg, key, []byte("10 EUR"), redo, says("paid", &runs))
	check(t, err == nil && string(first.Result) == "paid" && !first.Replayed && first.Fence > 0, "first", first)
	second, err := c.Do(bg, key, []byte("10 EUR"), redo, says("paid again", &runs))
	check(t, err == nil && string(second.Result) == "paid" && second.Replayed, "second", second)
	check(t, second.Fence == first.Fence && second.Version == first.Version, "second", second)
	check(t, runs.Load() == 1, "runs", runs.Load())

	_, err = c.Do(bg, key, []byte("20 EUR"), redo, never(t))
	var e *idem.Error
	check(t, errors.Is(err, idem.ErrMismatch) && errors.As(err, &e) && e.Key == key, "another request", err)
	other := key
	other.Operation = "refund"
	_, err = c.Do(bg, other, []byte("20 EUR"), redo, says("refunded", &runs))
	check(t, err == nil && runs.Load() == 2, "another operation", err)
	s := c.Stats()
	check(t, s.Ran == 2 && s.Replayed == 1 && s.Mismatch == 1 && s.Suspected() == 0, "stats", s)
}

// TestManyAtOnce: of many that ask for the same at once one runs it and all get
// its result.
func TestManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &idem.Client{Store: new(idem.Memory)}
		p := redo
		p.Wait = true
		var runs atomic.Int32
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				r, err := c.Do(bg, key, nil, p, func(context.Context, *idem.Attempt) ([]byte, error) {
					runs.Add(1)
					<-time.After(time.Minute) // six leases
					return []byte("once"), nil
				})
				check(t, err == nil && string(r.Result) == "once", "result", err)
			})
		}
		wg.Wait()
		s := c.Stats()
		check(t, runs.Load() == 1 && s.Ran == 1 && s.Replayed == 99 && s.Waiting == 0 && s.TakenOver == 0, "stats", s)
		check(t, s.Heartbeats >= 17 && s.Fenced == 0, "stats", s)
	})
}

func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &idem.Client{Store: new(idem.Memory), MaxWaiters: 1}
		p := redo
		p.Wait = true
		started, end := make(chan struct{}), make(chan struct{})
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() {
			_, err := c.Do(bg, key, nil, redo, func(context.Context, *idem.Attempt) ([]byte, error) {
				close(started)
				<-end
				return nil, nil
			})
			check(t, err == nil, "owner", err)
		})
		<-started
		_, err := c.Do(bg, key, nil, redo, never(t))
		var e *idem.Error
		check(t, errors.Is(err, idem.ErrBusy) && errors.As(err, &e) && e.Left > 0 && e.Left <= redo.Lease, "refused", err)

		wg.Go(func() {
			r, err := c.Do(bg, key, nil, p, never(t))
			check(t, err == nil && r.Replayed, "waiter", err)
		})
		synctest.Wait()
		check(t, c.Stats().Waiting == 1, "stats", c.Stats())
		_, err = c.Do(bg, key, nil, p, never(t))
		check(t, errors.Is(err, idem.ErrBusy) && c.Stats().Refused == 1, "more than may wait", err)
		close(end)
		wg.Wait()

		short, cancel := context.WithCancel(bg)
		started, end = make(chan struct{}), make(chan struct{})
		other := key
		other.ID = "another"
		wg.Go(func() {
			c.Do(bg, other, nil, redo, func(context.Context, *idem.Attempt) ([]byte, error) {
				close(started)
				<-end
				return nil, nil
			})
		})
		<-started
		time.AfterFunc(time.Second, cancel)
		_, err = c.Do(short, other, nil, p, never(t))
		check(t, errors.Is(err, idem.ErrBusy) && errors.Is(err, context.Canceled), "waiter that was called off", err)
		close(end)
	})
}

// TestRefusedBeforeAnything: mistakes of the caller are found before the store
// is asked.
func TestRefusedBeforeAnything(t *testing.T) {
	for name, test := range map[string]struct {
		change func(c *idem.Client, k *idem.Key, request *[]byte, p *idem.Policy)
		want   error
	}{
		"no choice":         {func(_ *idem.Client, _ *idem.Key, _ *[]byte, p *idem.Policy) { p.Unknown = idem.Choice{} }, idem.ErrNoChoice},
		"no reconciler":     {func(_ *idem.Client, _ *idem.Key, _ *[]byte, p *idem.Policy) { p.Unknown = idem.Reconcile(nil) }, idem.ErrNoChoice},
		"no store":          {func(c *idem.Client, _ *idem.Key, _ *[]byte, _ *idem.Policy) { c.Store = nil }, idem.ErrNoStore},
		"no operation":      {func(_ *idem.Client, k *idem.Key, _ *[]byte, _ *idem.Policy) { k.Operation = "" }, idem.ErrKey},
		"no ID":             {func(_ *idem.Client, k *idem.Key, _ *[]byte, _ *idem.Policy) { k.ID = "" }, idem.ErrKey},
		"long ID":           {func(_ *idem.Client, k *idem.Key, _ *[]byte, _ *idem.Policy) { k.ID = strings.Repeat("x", 1025) }, idem.ErrKey},
		"long space":        {func(_ *idem.Client, k *idem.Key, _ *[]byte, _ *idem.Policy) { k.Space = strings.Repeat("x", 65) }, idem.ErrKey},
		"odd space":         {func(_ *idem.Client, k *idem.Key, _ *[]byte, _ *idem.Policy) { k.Space = "{a}" }, idem.ErrKey},
		"operation : in it": {func(_ *idem.Client, k *idem.Key, _ *[]byte, _ *idem.Policy) { k.Operation = "a:b" }, idem.ErrKey},
		"long request":      {func(_ *idem.Client, _ *idem.Key, r *[]byte, _ *idem.Policy) { *r = make([]byte, 1<<20+1) }, idem.ErrTooLarge},
		"negative lease":    {func(_ *idem.Client, _ *idem.Key, _ *[]byte, p *idem.Policy) { p.Lease = -1 }, idem.ErrPolicy},
		"tiny lease":        {func(_ *idem.Client, _ *idem.Key, _ *[]byte, p *idem.Policy) { p.Lease = 1 }, idem.ErrPolicy},
		"short retention":   {func(_ *idem.Client, _ *idem.Key, _ *[]byte, p *idem.Policy) { p.Retain = time.Second }, idem.ErrPolicy},
	} {
		t.Run(name, func(t *testing.T) {
			m := new(idem.Memory)
			c, k, p, request := &idem.Client{Store: m}, key, redo, []byte(nil)
			test.change(c, &k, &request, &p)
			_, err := c.Do(bg, k, request, p, never(t))
			check(t, errors.Is(err, test.want), "error", err)
			check(t, m.Len() == 0, "records", m.Len())
		})
	}
}

// TestErrorsOfFn: what is stored, what frees the key, and what leaves the effect
// unknown.
func TestErrorsOfFn(t *testing.T) {
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		err  error
		then func(t *testing.T, c *idem.Client, first error)
	}{
		"final": {&idem.Failure{Reason: "card refused"}, func(t *testing.T, c *idem.Client, first error) {
			var f *idem.Failure
			check(t, errors.As(first, &f) && !f.Replayed, "first", first)
			r, err := c.Do(bg, key, nil, redo, never(t))
			check(t, errors.As(err, &f) && f.Replayed && f.Reason == "card refused" && r.Replayed, "second", err)
		}},
		"transient": {idem.Transient(broken), func(t *testing.T, c *idem.Client, first error) {
			check(t, first == broken, "first", first)
			_, err := c.Do(bg, key, nil, redo, func(_ context.Context, a *idem.Attempt) ([]byte, error) {
				check(t, !a.Taken && a.Number == 1, "attempt", a)
				return nil, nil
			})
			check(t, err == nil, "second", err)
		}},
		"unmarked": {broken, func(t *testing.T, c *idem.Client, first error) {
			var e *idem.Error
			check(t, errors.Is(first, broken) && errors.Is(first, idem.ErrUnknown) && errors.As(first, &e) && e.Version == 1, "first", first)
			_, err := c.Do(bg, key, nil, redo, func(_ context.Context, a *idem.Attempt) ([]byte, error) {
				check(t, a.Taken && a.Number == 2, "attempt", a)
				return nil, nil
			})
			check(t, err == nil, "second", err)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c := &idem.Client{Store: new(idem.Memory)}
			_, err := c.Do(bg, key, nil, redo, func(context.Context, *idem.Attempt) ([]byte, error) { return nil, test.err })
			test.then(t, c, err)
		})
	}
}

// TestPanic goes through to the caller, and leaves the effect unknown.
func TestPanic(t *testing.T) {
	c := &idem.Client{Store: new(idem.Memory)}
	func() {
		defer func() { check(t, recover() == "broken", "panic", nil) }()
		c.Do(bg, key, nil, redo, func(context.Context, *idem.Attempt) ([]byte, error) { panic("broken") })
	}()
	halt := redo
	halt.Unknown = idem.Halt()
	_, err := c.Do(bg, key, nil, halt, never(t))
	check(t, errors.Is(err, idem.ErrUnknown) && c.Stats().Panicked == 1, "after a panic", err)
}

func TestResultTooLarge(t *testing.T) {
	c := &idem.Client{Store: new(idem.Memory), MaxResult: 10}
	var runs atomic.Int32
	r, err := c.Do(bg, key, nil, redo, says("more than ten bytes", &runs))
	check(t, err == nil && string(r.Result) == "more than ten bytes", "first", err)
	r, err = c.Do(bg, key, nil, redo, never(t))
	check(t, errors.Is(err, idem.ErrNotKept) && r.Replayed && c.Stats().Omitted == 1, "second", err)
	other := key
	other.ID = "exactly"
	c.Do(bg, other, nil, redo, says("ten bytes!", &runs))
	r, err = c.Do(bg, other, nil, redo, never(t))
	check(t, err == nil && string(r.Result) == "ten bytes!", "at the limit", err)
}
