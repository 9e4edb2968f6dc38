package life

import (
	"sync/atomic"
	"time"

	"github.com/weir-go/weir/timer"
)

// runtimes are timers of the runtime, each far away until ComeUp. Each that fires runs on a goroutine of its own, so
// there is no order to check.
type runtimes struct {
	*Plan
	Lines[time.Timer]
	ts    []*time.Timer
	fired atomic.Int64
	done  chan struct{}
}

func newRuntimes(p *Plan) Structure {
	return &runtimes{Plan: p, ts: make([]*time.Timer, p.All()), done: make(chan struct{})}
}

func (r *runtimes) Embedded() int { return 0 }

func (r *runtimes) fire() {
	if r.fired.Add(1) == int64(r.N) {
		r.done <- struct{}{}
	}
}

func (r *runtimes) Others() {
	for i := r.N; i < len(r.ts); i++ {
		r.ts[i] = time.AfterFunc(aYear+time.Duration(i)*time.Second, r.fire)
	}
}

func (r *runtimes) Set(timer.Time) {
	fire, ts := r.fire, r.ts[:len(r.Whens)]
	for i, when := range r.Whens {
		ts[i] = time.AfterFunc(Far+time.Duration(when), fire)
	}
}

func (r *runtimes) Line() { r.Lines.Line(r.Plan, func(i int32) *time.Timer { return r.ts[i] }) }

func (r *runtimes) PushOn(timer.Time) {
	heard := r.Lines.Heard
	for left := r.Later; len(left) > 0; left = left[r.N:] {
		later := left[:len(heard)]
		for i, t := range heard {
			t.Reset(Far + time.Duration(later[i]))
		}
	}
}

func (r *runtimes) Stop() (stopped int) {
	for _, t := range r.Lines.Ended {
		if t.Stop() {
			stopped++
		}
	}
	return stopped
}

// ComeUp sets them all to come up one after the other, the first when all are set.
func (r *runtimes) ComeUp(timer.Time) (fired, wrong int) {
	r.fired.Store(0)
	fire, ts := r.fire, r.ts[:len(r.Whens)]
	for i, when := range r.Whens {
		ts[i] = time.AfterFunc(r.Soon(when), fire)
	}
	<-r.done
	return int(r.fired.Load()), 0
}
