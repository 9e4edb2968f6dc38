package main

import (
	"errors"
	"sync"
	"time"

	"github.com/weir-go/weir/bench/internal/lateness"
	"github.com/weir-go/weir/sched"
)

// skews are how late each subject was.
type skews map[string]*ticks

type ticks struct {
	Late   []time.Duration
	Points uint64 // of the grid, in the window
	Early  uint64 // bodies before their instant

	// Decided is how late it was decided to call each body, where a scheduler says that.
	Decided []time.Duration `json:",omitempty"`

	mu    sync.Mutex
	start time.Time
	first time.Time // of what counts
	last  uint64
}

// skew measures one job of each subject, of the same period, side by side: their instants are spread over it, so that
// none comes at another's.
func skew(j job) (any, error) {
	if j.Period <= 0 || j.Window < j.Period {
		return nil, errors.New("the window has no instant")
	}
	var work lateness.Work
	if err := work.Start(j.Inside, j.Spare); err != nil {
		return nil, err
	}
	all, made, order := skews{}, map[string]scheduler{}, []string{"std", "weir", "fine", "exact", "prompt", "gocron", "robfig", "quartz"}
	started := time.Now().Add(time.Second)
	for i, name := range order {
		s, err := subjects[name]()
		if err != nil {
			return nil, err
		}
		start := started.Add(time.Duration(i) * j.Period / time.Duration(len(order)))
		k := &ticks{start: start, first: start.Add(j.Warm), Points: uint64(j.Window / j.Period)}
		all[name], made[name] = k, s
		if name == "std" {
			go ticker(k, j.Period) // ends with the process
			continue
		}
		if err := s.every(start, j.Period, func() { k.tick(j.Period, time.Now()) }); err != nil {
			return nil, err
		}
		if err := s.begin(); err != nil {
			return nil, err
		}
	}
	time.Sleep(time.Until(started.Add(j.Warm + j.Window + 2*j.Period)))
	if err := work.Stop(); err != nil {
		return nil, err
	}
	for name, k := range all {
		k.mu.Lock() // for good
		if w, ok := made[name].(weir); ok {
			for _, l := range w.Ledger(sched.Filter{Since: k.first}) {
				k.Decided = append(k.Decided, l.Decided)
			}
		}
	}
	return all, nil
}

// ticker is a time.Ticker, as the one of package time that is no scheduler.
func ticker(k *ticks, period time.Duration) {
	time.Sleep(time.Until(k.start))
	t := time.NewTicker(period)
	k.mu.Lock()
	k.start = time.Now()
	k.mu.Unlock()
	for range t.C {
		k.tick(period, time.Now())
	}
}

// tick notes a body that was called.
func (k *ticks) tick(period time.Duration, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now.Before(k.first) || uint64(len(k.Late)) == k.Points {
		return
	}
	at := now.Sub(k.start)
	n := uint64((at + period/10) / period)
	late := at - time.Duration(n)*period
	if late < 0 {
		k.Early++
		late = 0
	}
	if n == k.last { // the second one for it, and so the one before's, late
		late += period
	}
	k.last = n
	k.Late = append(k.Late, late)
}
