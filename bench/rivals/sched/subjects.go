package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/reugn/go-quartz/quartz"
	"github.com/robfig/cron/v3"

	"github.com/weir-go/weir/sched"
	"github.com/weir-go/weir/timer"
)

// grid is start + n x period, n from 0.
type grid struct {
	start  time.Time
	period time.Duration
}

func (g grid) Next(prev time.Time) time.Time {
	if prev.Before(g.start) {
		return g.start
	}
	return g.start.Add((prev.Sub(g.start)/g.period + 1) * g.period)
}

// std is what one writes without a scheduler: an AfterFunc that is set anew.
type std struct {
	mu     sync.Mutex
	timers []*time.Timer
	busy   sync.WaitGroup
}

func newStd() (scheduler, error) { return &std{}, nil }

func (s *std) every(start time.Time, period time.Duration, body func()) error {
	g := grid{start, period}
	var t *time.Timer
	ready := make(chan struct{})
	t = time.AfterFunc(time.Until(start), func() {
		<-ready
		t.Reset(time.Until(g.Next(time.Now())))
		s.busy.Add(1)
		body()
		s.busy.Done()
	})
	close(ready)
	s.timers = append(s.timers, t)
	return nil
}

func (s *std) begin() error { return nil }

func (s *std) end() error {
	for _, t := range s.timers {
		t.Stop()
	}
	s.busy.Wait()
	return nil
}

func (s *std) in(d time.Duration) (shot, error) { return shot{timer: time.AfterFunc(d, nothing)}, nil }

func (s *std) cancel(o shot) error {
	if !o.timer.Stop() {
		return errNotThere
	}
	return nil
}

var errNotThere = errors.New("it was not there any more")

type weir struct{ *sched.Scheduler }

func newWeir() (scheduler, error) { return weirWith(timer.Coarse) }

func newFine() (scheduler, error) { return weirWith(timer.Fine) }

func newExact() (scheduler, error) { return weirWith(timer.Exact) }

func weirWith(p timer.Precision) (scheduler, error) {
	s, err := sched.New(sched.Config{Timer: timer.ClockConfig{Precision: p}})
	return weir{s}, err
}

// newPrompt is for short bodies: its only worker is whoever decides, the clock's goroutine.
func newPrompt() (scheduler, error) { return promptWith(timer.Exact) }

// newShort is the same with a clock of no great precision.
func newShort() (scheduler, error) { return promptWith(timer.Coarse) }

func promptWith(p timer.Precision) (scheduler, error) {
	s, err := sched.New(sched.Config{Timer: timer.ClockConfig{Precision: p}, Pool: here{}, Workers: 1})
	return weir{s}, err
}

type here struct{}

func (here) Submit(f func()) error { f(); return nil }

func (w weir) every(start time.Time, period time.Duration, body func()) error {
	_, err := w.Add(context.Background(), sched.Job{Trigger: sched.Every{Period: period, Start: start},
		Do: func(context.Context, sched.Fire) error { body(); return nil }})
	return err
}

func (w weir) begin() error { return nil }

func (w weir) end() error { return w.Close(context.Background()) }

func (w weir) in(d time.Duration) (shot, error) {
	o, err := w.In(context.Background(), d, idle)
	return shot{once: o}, err
}

func idle(context.Context, sched.Fire) error { return nil }

func (w weir) cancel(o shot) error {
	if !o.once.Cancel() {
		return errNotThere
	}
	return nil
}

// accounts says whether each fire has its line: what has begun is what lines count, and what runs now.
func (w weir) accounts(bodies uint64) error {
	st := w.Stats()
	var all uint64
	st.Each(func(_ sched.Outcome, _ sched.Reason, n uint64) bool { all += n; return true })
	var decided uint64
	for i := range st.Series {
		decided += st.Series[i].Decided.Count
	}
	ran := st.Instants(sched.Ran)
	if st.Waiting+st.Running+st.Retrying != 0 || ran != bodies || ran > all || decided > all {
		return fmt.Errorf("the ledger has %d instants, %d of them ran; %d bodies were called and %d fires decided: %+v",
			all, ran, bodies, decided, st)
	}
	return nil
}

type gocronScheduler struct{ gocron.Scheduler }

func newGocron() (scheduler, error) {
	s, err := gocron.NewScheduler()
	return gocronScheduler{s}, err
}

func (s gocronScheduler) every(start time.Time, period time.Duration, body func()) error {
	_, err := s.NewJob(gocron.DurationJob(period), gocron.NewTask(body), gocron.WithStartAt(gocron.WithStartDateTime(start)))
	return err
}

func (s gocronScheduler) begin() error { s.Start(); return nil }

func (s gocronScheduler) end() error { return s.Shutdown() }

func (s gocronScheduler) in(d time.Duration) (shot, error) {
	j, err := s.NewJob(gocron.OneTimeJob(gocron.OneTimeJobStartDateTime(time.Now().Add(d))), gocron.NewTask(nothing))
	return shot{job: j}, err
}

func (s gocronScheduler) cancel(o shot) error { return s.RemoveJob(o.job.ID()) }

type robfig struct{ *cron.Cron }

func newRobfig() (scheduler, error) { return robfig{cron.New()}, nil }

func (c robfig) every(start time.Time, period time.Duration, body func()) error {
	c.Schedule(grid{start, period}, cron.FuncJob(body))
	return nil
}

func (c robfig) begin() error { c.Start(); return nil }

func (c robfig) end() error { <-c.Stop().Done(); return nil }

// once is an instant for robfig, which has none of its own.
type once time.Time

func (o once) Next(prev time.Time) time.Time {
	if prev.Before(time.Time(o)) {
		return time.Time(o)
	}
	return time.Time{}
}

func (c robfig) in(d time.Duration) (shot, error) {
	return shot{entry: c.Schedule(once(time.Now().Add(d)), cron.FuncJob(nothing))}, nil
}

func (c robfig) cancel(o shot) error { c.Remove(o.entry); return nil }

type quartzScheduler struct {
	quartz.Scheduler
	n int
}

func newQuartz() (scheduler, error) {
	s, err := quartz.NewStdScheduler()
	return &quartzScheduler{Scheduler: s}, err
}

// quartzJob is a body for it.
type quartzJob func()

func (j quartzJob) Execute(context.Context) error { j(); return nil }
func (j quartzJob) Description() string           { return "" }

// quartzGrid is the grid for it: instants are nanoseconds since 1970.
type quartzGrid grid

func (g quartzGrid) NextFireTime(prev int64) (int64, error) {
	return grid(g).Next(time.Unix(0, prev)).UnixNano(), nil
}
func (g quartzGrid) Description() string { return "" }

func (s *quartzScheduler) schedule(body func(), t quartz.Trigger) (shot, error) {
	s.n++
	key := quartz.NewJobKey(fmt.Sprint(s.n))
	return shot{key: key}, s.ScheduleJob(quartz.NewJobDetail(quartzJob(body), key), t)
}

func (s *quartzScheduler) every(start time.Time, period time.Duration, body func()) error {
	_, err := s.schedule(body, quartzGrid{start, period})
	return err
}

func (s *quartzScheduler) begin() error { s.Start(context.Background()); return nil }

func (s *quartzScheduler) end() error {
	s.Stop()
	s.Wait(context.Background())
	return nil
}

func (s *quartzScheduler) in(d time.Duration) (shot, error) {
	return s.schedule(nothing, quartz.NewRunOnceTrigger(d))
}

func (s *quartzScheduler) cancel(o shot) error { return s.DeleteJob(o.key) }
