package main

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/weir-go/weir/bench/rivals/internal/probe"
)

// pairs are what it costs to schedule and to cancel while many are pending.
type pairs struct {
	AtOnce   float64 // ns of processor time: to schedule one and cancel it
	UnderWay float64 // to cancel any of those that are pending and schedule another in its place
	Bytes    float64 // for each that is pending, its handle not counted
	Setup    float64 // ns of processor time to schedule each of them
}

// pending measures single shots an hour away, N of which are there already.
func pending(j job) (any, error) {
	s, err := subjects[j.Subject]()
	if err != nil {
		return nil, err
	}
	to, ok := s.(shooter)
	if !ok {
		return nil, errors.New("it takes no single shots")
	}
	r := rand.New(rand.NewPCG(1, 2))
	away := func() time.Duration { return time.Hour + time.Duration(r.Int64N(int64(time.Hour))) }
	shots := make([]shot, j.N)
	before, used := live(), probe.CPU()
	for i := range shots {
		if shots[i], err = to.in(away()); err != nil {
			return nil, err
		}
	}
	p := pairs{Setup: float64(probe.CPU()-used) / float64(j.N)}
	p.Bytes = (float64(live()) - float64(before)) / float64(j.N)
	if err := s.begin(); err != nil {
		return nil, err
	}
	p.AtOnce, err = j.each(func() error {
		o, err := to.in(away())
		if err != nil {
			return err
		}
		return to.cancel(o)
	})
	if err != nil {
		return nil, err
	}
	p.UnderWay, err = j.each(func() (err error) {
		o := &shots[r.IntN(len(shots))]
		if err = to.cancel(*o); err == nil {
			*o, err = to.in(away())
		}
		return err
	})
	runtime.KeepAlive(shots)
	return p, err
}

func nothing() {}

// each returns what it costs to do it once, over the window, or longer if that is
// what once takes.
func (j job) each(do func() error) (float64, error) {
	runtime.GC()
	began, used, n := time.Now(), probe.CPU(), 0
	for batch := 1; n == 0 || time.Since(began) < j.Window; batch = min(2*batch, 64) {
		for range batch {
			if err := do(); err != nil {
				return 0, err
			}
		}
		n += batch
	}
	return float64(probe.CPU()-used) / float64(n), nil
}
