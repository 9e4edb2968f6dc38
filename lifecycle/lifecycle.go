// Package lifecycle starts the parts of a program in an order and ends them in the
// opposite one, on SIGTERM, SIGINT, when one of them fails, or when a successor
// has taken over.
//
//	start ─────────────────────────────────────────────►
//	Sockets        Clients        Tasks        Servers
//	runtimes       open, ping     schedule     listen
//	◄───────────────────────────────────────────── stop
//
// Servers end first, as long as all that a request needs is there, then tasks, as
// long as the clients that they work with answer, then the clients, then what the
// bytes move on. Parts of one stage start one after the other as they were added,
// and end side by side.
//
//	kit := lifecycle.Kit{Parts: []lifecycle.Part{
//		{Name: "runtime", Stage: lifecycle.Sockets, Open: start, Stop: endRuntime},
//		{Name: "database", Stage: lifecycle.Clients, Open: open, Ping: db.PingContext, Stop: closeDB},
//		{Name: "scheduler", Stage: lifecycle.Tasks, Stop: s.Close},
//		{Name: "grpc", Stage: lifecycle.Servers, Open: listen, Stop: drain},
//	}}
//	err := kit.Run(context.Background())
//
// Before the first part ends, Kit.Health says so for Kit.Notice, and the program
// serves on: the time in which balancers see it and send nobody any more.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"time"
)

// A Stage is when a part starts and ends. The zero value is Tasks.
type Stage int

// The stages.
const (
	Tasks   Stage = iota // what works: schedulers, consumers
	Clients              // what it works with: databases, brokers, caches
	Sockets              // what all of it stands on: runtimes
	Servers              // what others ask: listeners, their connections and streams
)

// ending is the order in which they end, and the opposite of the one in which they
// start: a server is opened last, when it can answer.
var ending = [...]Stage{Servers, Tasks, Clients, Sockets}

// String returns the name in lower case.
func (s Stage) String() string {
	switch s {
	case Tasks:
		return "tasks"
	case Clients:
		return "clients"
	case Sockets:
		return "sockets"
	case Servers:
		return "servers"
	}
	return fmt.Sprintf("stage %d", int(s))
}

// A Part is something that is started and ended. Its functions are called at
// most once each, never side by side.
type Part struct {
	Name  string // for errors
	Stage Stage

	// Open starts it. An error ends what was started before, and Run. Nil: there
	// is nothing to start.
	Open func(context.Context) error

	// Ping tells whether it can be reached. It is called after Open, and so
	// before the first task; an error is as one of Open, but the part is ended,
	// too. Nil: not asked.
	Ping func(context.Context) error

	// Stop ends it and returns when it has ended. The context ends with
	// Patience: from then on it should not be gentle any more. It is called if
	// Open was and returned nil, or is nil. Nil: there is nothing to end.
	Stop func(context.Context) error

	// Patience is how long Stop has. Zero: 10 s.
	Patience time.Duration
}

// ErrLeft is what a Stop is reported with that has not returned Kit.Grace after
// its context ended. What comes after it is ended all the same.
var ErrLeft = errors.New("lifecycle: stop has not returned")

// ErrStage is a Part of no stage.
var ErrStage = errors.New("lifecycle: unknown stage")

// A Kit is the parts of a program. It is for one Run.
type Kit struct {
	Parts []Part

	// Ready is called when all parts have started, from Run's goroutine. Nil:
	// nobody.
	Ready func()

	// Failed ends the program as a signal does, when it is closed or something is
	// received from it, which Run returns then. Nil: never.
	Failed <-chan error

	// Signals end the program. Nil: SIGTERM and SIGINT; empty: none. A second one ends the
	// patience of all parts; a third does what it does without this package.
	Signals []os.Signal

	// Grace is how much longer than its context a Stop may take before Run goes
	// on without it. Zero: 1 s.
	Grace time.Duration

	// Health is told what the program is up to. Nil: nobody.
	Health Health

	// Notice is how long the program goes on as it is, after Health was told that
	// it ends and before the first part does. Zero: not at all. It should be
	// longer than balancers take to notice: their period, times the failures that
	// they wait for. There is none when a successor has taken over, or after a
	// failure; a second signal ends it.
	Notice time.Duration

	// Handover has the program replaced by a successor of its own. Nil: not at
	// all.
	Handover Handover

	// Restarts are the signals that ask for a successor. Nil: SIGHUP and SIGUSR2,
	// if there is a Handover; empty: none.
	Restarts []os.Signal

	// Restarted is told how each attempt that a signal has asked for went, on a
	// goroutine of its own: nil when a successor is there. Nil: nobody.
	Restarted func(error)
}

// Run starts all parts, waits for ctx to end, a signal, or Failed, and ends all
// parts. It returns nil if that is all that happened, and else everything that
// went wrong, joined: errors of Open, Ping and Stop with the part's name in
// front, panics in them, ErrLeft.
func (k *Kit) Run(ctx context.Context) error {
	for _, p := range k.Parts {
		if !slices.Contains(ending[:], p.Stage) {
			return fmt.Errorf("%w: %s: %v", ErrStage, p.Name, p.Stage)
		}
	}
	signals := notified(2, k.Signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	asks := k.asks()
	defer signal.Stop(asks)

	open, asked, err := k.start(ctx, signals)
	if err == nil && !asked {
		return k.serve(ctx, open, signals, asks)
	}
	if k.Health != nil {
		k.Health.Drain(because(err))
	}
	return errors.Join(err, k.stop(open, signals, 0))
}

// notified returns a channel of the signals of names, or else of those by default.
func notified(room int, names []os.Signal, unset ...os.Signal) chan os.Signal {
	if names == nil {
		names = unset
	}
	c := make(chan os.Signal, room)
	if len(names) > 0 { // none would be all of them to Notify
		signal.Notify(c, names...)
	}
	return c
}

// start starts all parts, and returns those that have to be ended. A signal that
// comes meanwhile is no error: asked says that it came.
func (k *Kit) start(ctx context.Context, signals chan os.Signal) (open []Part, asked bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-signals:
			asked = true
			cancel()
		case <-quit:
			return
		}
		select { // an Open that does not listen: the next but one ends the process
		case second := <-signals:
			signal.Stop(signals)
			signals <- second // for stop; nobody else sends now
		case <-quit:
		}
	}()
	open, err = k.open(ctx)
	close(quit)
	<-done
	if asked && errors.Is(err, context.Canceled) {
		err = nil
	}
	return open, asked, err
}

// open starts all parts, the last stage first.
func (k *Kit) open(ctx context.Context) (open []Part, err error) {
	for _, stage := range slices.Backward(ending[:]) {
		for _, p := range k.Parts {
			if p.Stage != stage {
				continue
			}
			if err := context.Cause(ctx); err != nil {
				return open, err
			}
			if err := p.call(ctx, "open", p.Open); err != nil {
				return open, err
			}
			open = append(open, p)
			if err := p.call(ctx, "ping", p.Ping); err != nil {
				return open, err
			}
		}
	}
	return open, nil
}

// stop ends the parts, stage after stage, when notice has passed. Until then all is
// as it was, the handover and what it has taken over too.
func (k *Kit) stop(open []Part, signals chan os.Signal, notice time.Duration) error {
	// Not of the context that Run was given: that one has ended, perhaps.
	hurry, cancel := context.WithCancel(context.Background())
	defer cancel()
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-signals:
			cancel()
			signal.Stop(signals)
		case <-quit:
		}
	}()
	defer func() { close(quit); <-done }()

	if notice > 0 {
		timer := time.NewTimer(notice)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-hurry.Done():
		}
	}
	all := []error{k.close()}
	for _, stage := range ending {
		now := slices.DeleteFunc(slices.Clone(open), func(p Part) bool { return p.Stage != stage })
		errs := make([]error, len(now))
		var wg sync.WaitGroup
		for i, p := range now {
			wg.Go(func() { errs[i] = k.end(hurry, p) })
		}
		wg.Wait()
		all = append(all, errs...)
	}
	return errors.Join(all...)
}

// end ends one part, or leaves it.
func (k *Kit) end(hurry context.Context, p Part) error {
	ctx, cancel := context.WithTimeout(hurry, orElse(p.Patience, 10*time.Second))
	defer cancel()
	ended := make(chan error, 1) // nobody may wait for it
	go func() { ended <- p.call(ctx, "stop", p.Stop) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	grace := time.NewTimer(orElse(k.Grace, time.Second))
	defer grace.Stop()
	select {
	case err := <-ended:
		return err
	case <-grace.C:
		return fmt.Errorf("%s: %w", p.Name, ErrLeft)
	}
}

func orElse(d, unset time.Duration) time.Duration {
	if d <= 0 {
		return unset
	}
	return d
}

// call calls one function of a part; its panic is an error.
func (p Part) call(ctx context.Context, what string, f func(context.Context) error) (err error) {
	if f == nil {
		return nil
	}
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("%s: %s: panic: %v\n%s", p.Name, what, value, debug.Stack())
		}
	}()
	if err := f(ctx); err != nil {
		return fmt.Errorf("%s: %s: %w", p.Name, what, err)
	}
	return nil
}
