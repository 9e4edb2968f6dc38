package saga

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// page is how many IDs are asked of a Log at once.
const page = 256

// Recovered says what Recover has found.
type Recovered struct {
	Open        int // sagas that had not ended
	Succeeded   int // of those, with this call
	Compensated int
	Stuck       int // stuck before, or now
	Elsewhere   int // this Runner was at it, or another one took it over, or it ended meanwhile
	Failed      int // neither: the error says why
}

// Recover takes over all sagas that have not ended and goes on with them, until
// they have or ctx ends, which leaves them open. It is for the start of a
// process, and may be called again. Config.MaxRunning are gone on with at once.
// Those that are stuck are left to a person.
//
// It does not know whether another process is at a saga: with a Log that several
// share, the other one's next write is refused (ErrLost), and a call of his that
// is under way is waited for by idem. The error is the first one; the others are
// counted.
func (r *Runner) Recover(ctx context.Context) (Recovered, error) {
	var (
		found Recovered
		first error
		mu    sync.Mutex
		wg    sync.WaitGroup
	)
	ids := make(chan string)
	for range r.cfg.MaxRunning {
		wg.Go(func() {
			for id := range ids {
				o, err := r.resume(ctx, id, nil)
				mu.Lock()
				found.add(o, err)
				if err != nil && first == nil && !elsewhere(err) {
					first = err
				}
				mu.Unlock()
			}
		})
	}
	err := r.feed(ctx, ids)
	close(ids)
	wg.Wait()
	if first == nil {
		first = err
	}
	return found, first
}

// feed sends the IDs of all open sagas.
func (r *Runner) feed(ctx context.Context, ids chan<- string) error {
	above := ""
	for {
		var some []string
		err := r.write(ctx, func(ctx context.Context) (err error) {
			some, err = r.cfg.Log.Open(ctx, above, page)
			return err
		})
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return &Error{Err: ErrLog, Cause: err}
		case len(some) == 0:
			return nil
		}
		for _, id := range some {
			select {
			case ids <- id:
			case <-ctx.Done():
				return ctx.Err()
			case <-r.life.Done():
				return &Error{Err: ErrClosed}
			}
		}
		above = some[len(some)-1]
	}
}

func elsewhere(err error) bool {
	return errors.Is(err, ErrBusy) || errors.Is(err, ErrLost) || errors.Is(err, ErrNotFound)
}

func (f *Recovered) add(o Outcome, err error) {
	f.Open++
	switch {
	case err != nil && elsewhere(err) || o.Replayed && o.State.Ended():
		f.Elsewhere++
	case err != nil:
		f.Failed++
	case o.State == Succeeded:
		f.Succeeded++
	case o.State == Compensated:
		f.Compensated++
	case o.State == Stuck:
		f.Stuck++
	}
}

// resume takes a saga over and goes on with it. e is a person's, or nil.
func (r *Runner) resume(ctx context.Context, id string, e *Event) (Outcome, error) {
	if err := r.enter(id, e == nil); err != nil {
		return Outcome{}, err
	}
	defer r.leave(id)
	rec, err := r.Lookup(ctx, id)
	if err != nil {
		return Outcome{}, err
	}
	p := r.plans[rec.Definition]
	switch {
	case p == nil:
		return Outcome{}, &Error{ID: id, Err: ErrUndefined, Cause: fmt.Errorf("%q", rec.Definition)}
	case p.print != rec.Print || len(p.steps) != len(rec.Steps):
		return Outcome{}, &Error{ID: id, Err: ErrDefinition}
	case e == nil && (rec.State.Ended() || rec.State == Stuck):
		o := outcome(&rec, p)
		o.Replayed = true
		return o, nil
	}
	if err := decide(&rec, p, e); err != nil {
		return Outcome{}, &Error{ID: id, Err: err}
	}
	life, stop := either(r.life, ctx)
	defer stop()
	w := &walk{r: r, plan: p, rec: rec, caller: context.Background(), life: life}
	if err := w.claim(); err != nil {
		return Outcome{}, err
	}
	if e == nil {
		r.count.recovered.Add(1)
	}
	return w.run()
}

// claim makes the saga this walk's: of those who have read the same version one
// gets it, and all others are refused from then on.
func (w *walk) claim() error {
	fence := w.rec.Fence
	version := w.rec.Version
	w.rec.Fence++
	w.rec.Version++
	return w.put(version, fence)
}

// Forget removes up to n records of sagas that ended longer ago than
// Config.Retain, and returns how many. Their IDs are new then, in idem too:
// removed earlier, a saga begun under the same ID would be given the results of
// the one before. To call it now and then keeps a Log below its limit.
func (r *Runner) Forget(ctx context.Context, n int) (int, error) {
	before := time.Now().Add(-r.cfg.Retain - r.cfg.Lease).UnixNano()
	var gone int
	err := r.write(ctx, func(ctx context.Context) (err error) {
		gone, err = r.cfg.Log.Forget(ctx, before, n)
		return err
	})
	if err != nil {
		return 0, &Error{Err: ErrLog, Cause: err}
	}
	return gone, nil
}
