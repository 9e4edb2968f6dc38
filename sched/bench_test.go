package sched_test

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weir-go/weir/sched"
)

func scheduler(b testing.TB, cfg sched.Config) *sched.Scheduler {
	b.Helper()
	s, err := sched.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ended, end := context.WithCancel(context.Background())
		end()
		if err := s.Close(ended); err != nil {
			b.Error(err)
		}
	})
	return s
}

// What it costs to schedule a one-shot and to cancel it, with a million pending.
func BenchmarkInCancel(b *testing.B) {
	b.Run("sched", func(b *testing.B) {
		s := scheduler(b, sched.Config{})
		for range 1_000_000 {
			if _, err := s.In(context.Background(), time.Minute+rand.N(time.Minute), nothing); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportAllocs()
		for b.Loop() {
			t, _ := s.In(context.Background(), time.Minute+rand.N(time.Minute), nothing)
			t.Cancel()
		}
	})
	b.Run("AfterFunc", func(b *testing.B) {
		timers := make([]*time.Timer, 1_000_000)
		for i := range timers {
			timers[i] = time.AfterFunc(time.Minute+rand.N(time.Minute), func() {})
		}
		b.ReportAllocs()
		for b.Loop() {
			time.AfterFunc(time.Minute+rand.N(time.Minute), func() {}).Stop()
		}
		for _, t := range timers {
			t.Stop()
		}
	})
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// What a fire costs where a hundred thousand jobs run each second.
func BenchmarkIntervals(b *testing.B) {
	s := scheduler(b, sched.Config{})
	var n atomic.Int64
	do := func(context.Context, sched.Fire) error { n.Add(1); return nil }
	start := time.Now()
	for i := range 100_000 {
		at := start.Add(time.Duration(i) * 10 * time.Microsecond)
		if _, err := s.Add(context.Background(), sched.Job{Trigger: sched.Every{Period: time.Second, Start: at}, Do: do}); err != nil {
			b.Fatal(err)
		}
	}
	before, used := n.Load(), cpu()
	done := make(chan struct{})
	time.AfterFunc(4*time.Second, func() { close(done) })
	for b.Loop() {
	}
	<-done
	fires := n.Load() - before
	b.ReportMetric(float64(cpu()-used)/float64(fires), "cpu-ns/fire")
	b.ReportMetric(float64(fires), "fires")
	st := s.Stats()
	b.ReportMetric(float64(st.Wakes), "wakes")
	for _, x := range st.Series {
		b.Log(x.Type, x.Decided.Count, x.Decided.Max, x.Began.Max, x.Outcomes)
	}
}
