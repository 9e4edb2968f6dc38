package timer

import (
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// stopper is a timer of either kind.
type stopper interface{ Stop() bool }

// BenchmarkClock is what most timers do: they are set, and stopped before they
// fire. At once with a million others pending, which is kind to every heap; and
// as requests with a time-out do, a million under way at any time, each op
// ending one of them and beginning another.
//
//	go test -run - -bench Clock -count 3 ./timer
func BenchmarkClock(b *testing.B) {
	const pending = 1_000_000
	far := func() time.Duration { return time.Hour + rand.N(time.Hour) }
	f := func() {}
	c := newClock(b, ClockConfig{})
	for _, s := range []struct {
		name  string
		after func(time.Duration) stopper
	}{
		{"time", func(d time.Duration) stopper { return time.AfterFunc(d, f) }},
		{"weir", func(d time.Duration) stopper { return c.AfterFunc(d, f) }},
	} {
		var all [pending]stopper
		begin := func(b *testing.B) {
			for i := range all {
				all[i] = s.after(far())
			}
			runtime.GC()
			b.ReportAllocs()
			b.ResetTimer()
		}
		b.Run("AtOnce/"+s.name, func(b *testing.B) {
			begin(b)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					s.after(far()).Stop()
				}
			})
		})
		b.Run("UnderWay/"+s.name, func(b *testing.B) {
			begin(b)
			var next atomic.Int64
			b.RunParallel(func(pb *testing.PB) {
				at := int(next.Add(1)) * 15_485_863 // each goroutine its own part of an order that is none
				for pb.Next() {
					at = (at + 7_368_787) % pending
					all[at].Stop()
					all[at] = s.after(far())
				}
			})
		})
		for _, one := range all {
			if one != nil { // neither benchmark was left out
				one.Stop()
			}
		}
	}
}
