package sched_test

import (
	"context"
	"testing"
	"time"

	"github.com/weir-go/weir/sched"
	"github.com/weir-go/weir/sched/schedtest"
)

var dawn = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func TestIntervalAndStall(t *testing.T) {
	clock := schedtest.NewClock(dawn)
	s, err := sched.New(sched.Config{Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	_, err = s.Add(t.Context(), sched.Job{Name: "a", Trigger: sched.Every{Period: time.Second}, Do: func(ctx context.Context, f sched.Fire) error {
		n++
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		clock.Advance(time.Second)
		if err := s.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	clock.Stall(time.Minute)
	s.Wait(t.Context())
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Log(n)
	for _, l := range s.Ledger(sched.Filter{}) {
		t.Logf("%+v", l)
	}
}
