// Package sagatest tests whether a saga.Log is one.
package sagatest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/weir-go/weir/saga"
)

// Record returns a record as a Runner makes it.
func Record(id string) saga.Record {
	return saga.Record{ID: id, Definition: "test", Print: "print", Pivot: -1, Version: 1, Fence: 1,
		State: saga.Running, Input: []byte("input"), Begun: time.Unix(1, 2).UTC(),
		Steps: []saga.StepRecord{{State: saga.Pending}, {State: saga.Pending}}}
}

// TestLog tests a Log. open returns one that is empty each time.
func TestLog(t *testing.T, open func(*testing.T) saga.Log) {
	for name, f := range map[string]func(*testing.T, saga.Log){
		"WhatIsWrittenIsRead":   testRead,
		"CompareAndSet":         testCompareAndSet,
		"OneOfManyWins":         testOneWins,
		"OpenInOrder":           testOpen,
		"ForgetOnlyWhatEnded":   testForget,
		"EndedContextIsRefused": testContext,
	} {
		t.Run(name, func(t *testing.T) { f(t, open(t)) })
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func fails(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%v, want %v", err, want)
	}
}

func is(t *testing.T, l saga.Log, want saga.Record) {
	t.Helper()
	got, err := l.Load(t.Context(), want.ID)
	ok(t, err)
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v, want %+v", got, want)
	}
}

func testRead(t *testing.T, l saga.Log) {
	ctx, r := t.Context(), Record("a")
	_, err := l.Load(ctx, "a")
	fails(t, err, saga.ErrNotFound)
	fails(t, l.Write(ctx, &r, 1, 1), saga.ErrNotFound)
	ok(t, l.Create(ctx, &r))
	is(t, l, r)
	fails(t, l.Create(ctx, &r), saga.ErrExists)
	want := r.Clone()
	r.Steps[0].State, r.Input[0] = saga.Done, 'X' // the caller's own
	is(t, l, want)
	got, err := l.Load(ctx, "a")
	ok(t, err)
	got.Steps[0].State, got.Input[0] = saga.Done, 'X'
	is(t, l, want)
}

func testCompareAndSet(t *testing.T, l saga.Log) {
	ctx, r := t.Context(), Record("a")
	ok(t, l.Create(ctx, &r))
	next := r.Clone()
	next.Version, next.Fence, next.Steps[0] = 2, 2, saga.StepRecord{State: saga.Intent, Tries: 1}
	for _, no := range [][2]uint64{{0, 1}, {2, 1}, {1, 0}, {1, 2}} {
		fails(t, l.Write(ctx, &next, no[0], no[1]), saga.ErrConflict)
		is(t, l, r)
	}
	ok(t, l.Write(ctx, &next, 1, 1))
	is(t, l, next)
	fails(t, l.Write(ctx, &next, 1, 1), saga.ErrConflict)
}

func testOneWins(t *testing.T, l saga.Log) {
	ctx, r := t.Context(), Record("a")
	ok(t, l.Create(ctx, &r))
	for round := range uint64(20) {
		won := make(chan uint64, 4)
		var wg sync.WaitGroup
		for who := range uint64(4) {
			wg.Go(func() {
				next := Record("a")
				next.Version, next.Fence = round+2, 100*(round+1)+who
				err := l.Write(ctx, &next, round+1, r.Fence)
				if err == nil {
					won <- next.Fence
				} else if !errors.Is(err, saga.ErrConflict) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("%d have won", len(won))
		}
		r.Version, r.Fence = round+2, <-won
		is(t, l, r)
	}
}

func testOpen(t *testing.T, l saga.Log) {
	ctx := t.Context()
	for i := range 9 {
		r := Record(fmt.Sprint(8 - i))
		ok(t, l.Create(ctx, &r))
		switch i % 3 {
		case 1:
			r.State, r.From, r.Version = saga.Stuck, saga.Running, 2
			ok(t, l.Write(ctx, &r, 1, 1))
		case 2:
			r.State, r.Ended, r.Version = saga.Succeeded, time.Unix(int64(i), 0).UTC(), 2
			ok(t, l.Write(ctx, &r, 1, 1))
		}
	}
	var all []string
	for above := ""; ; {
		some, err := l.Open(ctx, above, 2)
		ok(t, err)
		if len(some) == 0 {
			break
		}
		all = append(all, some...)
		above = some[len(some)-1]
	}
	if want := []string{"1", "2", "4", "5", "7", "8"}; !reflect.DeepEqual(all, want) {
		t.Fatalf("%q, want %q", all, want)
	}
}

func testForget(t *testing.T, l saga.Log) {
	ctx := t.Context()
	for i := range 6 {
		r := Record(fmt.Sprint(i))
		ok(t, l.Create(ctx, &r))
		if i == 5 {
			break // open
		}
		r.State, r.Ended, r.Version = saga.Compensated, time.Unix(int64(i), 0).UTC(), 2
		ok(t, l.Write(ctx, &r, 1, 1))
	}
	for _, c := range []struct {
		before int64
		n      int
		want   int
	}{{0, 9, 0}, {4e9, 3, 3}, {4e9, 3, 1}, {4e9, 3, 0}} {
		n, err := l.Forget(ctx, c.before, c.n)
		ok(t, err)
		if n != c.want {
			t.Fatalf("%d forgotten, want %d", n, c.want)
		}
	}
	_, err := l.Load(ctx, "3")
	fails(t, err, saga.ErrNotFound)
	for _, id := range []string{"4", "5"} {
		_, err := l.Load(ctx, id)
		ok(t, err)
	}
	r := Record("0")
	ok(t, l.Create(ctx, &r))
}

func testContext(t *testing.T, l saga.Log) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := Record("a")
	if l.Create(ctx, &r) == nil {
		t.Fatal("created")
	}
	_, err := l.Load(t.Context(), "a")
	fails(t, err, saga.ErrNotFound)
}
