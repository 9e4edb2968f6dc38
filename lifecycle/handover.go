package lifecycle

import (
	"context"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"
)

// Health is who says to others how the program is: package health's does.
type Health interface {
	Serve()              // all parts have started
	Drain(reason string) // the program will end
	Leave()              // a successor serves in its place; the program will end
}

// Handover is who replaces the program: package restart's Sockets does. Run calls
// Ready when all parts have started, and Close before the first one ends.
type Handover interface {
	Ready() error                  // this process serves; its predecessor may end
	Restart(context.Context) error // starts a successor and waits until it serves
	Left() <-chan struct{}         // closed when one does
	Close() error
}

// serve is the time between start and stop.
//
//	   ┌── Restart failed ──┐
//	   ▼                    │
//	serving ── SIGHUP ──► another is being started ── Left ──► Leave ─────────┐
//	   │                    │                                                 ▼
//	   └────────────────────┴── SIGTERM, ctx, Failed ──► Drain, Notice ──► stop
func (k *Kit) serve(ctx context.Context, open []Part, signals, asks chan os.Signal) error {
	var left <-chan struct{}
	if k.Handover != nil {
		left = k.Handover.Left()
	}
	told := k.ready()

	attempt, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	var attempts sync.WaitGroup // one, and those that are told so
	reason, err := "", error(nil)
	for over := false; !over; {
		over = true
		select {
		case <-ctx.Done():
			reason = because(context.Cause(ctx))
		case s := <-signals:
			reason = s.String()
		case err = <-k.Failed:
			reason = because(err)
		case <-left:
		case <-asks:
			over = false
			attempts.Go(func() { k.restarted(k.Handover.Restart(attempt)) })
		}
	}
	giveUp()
	attempts.Wait()
	notice := k.drain(left, reason)
	if err != nil {
		notice = 0
	}
	return errors.Join(err, told, k.stop(open, signals, notice))
}

// asks are the signals that ask for a successor. They are heard from the start on:
// unheard, they would end the process.
func (k *Kit) asks() chan os.Signal {
	if k.Handover == nil {
		return notified(1, []os.Signal{})
	}
	return notified(1, k.Restarts, syscall.SIGHUP, syscall.SIGUSR2)
}

// ready tells everybody that all parts have started.
func (k *Kit) ready() (err error) {
	if k.Health != nil {
		k.Health.Serve()
	}
	if k.Handover != nil {
		err = k.Handover.Ready()
	}
	if k.Ready != nil {
		k.Ready()
	}
	return err
}

// drain tells everybody that the program will end, and returns for how long it
// should still go on.
func (k *Kit) drain(left <-chan struct{}, reason string) (notice time.Duration) {
	select {
	case <-left: // whoever looks for this program at its address finds the successor
		if k.Health != nil {
			k.Health.Leave()
		}
		return 0
	default:
	}
	if k.Health != nil {
		k.Health.Drain(reason)
	}
	return k.Notice
}

// close has no successor started any more.
func (k *Kit) close() error {
	if k.Handover == nil {
		return nil
	}
	return k.Handover.Close()
}

func (k *Kit) restarted(err error) {
	if k.Restarted != nil {
		k.Restarted(err)
	}
}

// because is a reason in words.
func because(err error) string {
	if err == nil {
		return "the program was told to end"
	}
	return err.Error()
}
