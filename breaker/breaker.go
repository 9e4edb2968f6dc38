// Package breaker keeps a program from asking who does not answer: for each
// destination it counts what came of the calls lately, and lets none through for
// a while when too many have failed.
//
//	         half of 20 calls or more in 10 s have failed
//	closed ────────────────────────────────────────────────► open ◄────────┐
//	  ▲                                                        │ 5 s, twice │
//	  │  3 probes in a row succeed                             │ as long    │ one
//	  └──────────────────────────────── half-open ◄────────────┘ each time, │ fails
//	                                       └───────────────────  60 s at ───┘
//	                                                             most, ±20 %
//
// What this side does not have is no fault of a destination: when the process
// has no descriptors left or bounds refuse one, when a caller has left, nothing is
// counted. Otherwise a shortage here would cut off every destination there is,
// and keep them cut off when it is over.
//
// Breakers may be shared: by the calls of Do, by dialers, and by stream.Clients,
// which ask them before they connect (stream.ClientConfig.Breaker).
//
// The counting is github.com/sony/gobreaker's. Its time of being open is always
// the same, so this package adds what makes it longer.
package breaker

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/weir-go/weir/bounds"
)

// Config says when a breaker opens. The zero value works.
type Config struct {
	Window time.Duration // calls that count, in ten parts. 0: 10 s
	Calls  int           // that must have ended in it. 0: 20
	Failed float64       // part of them that has failed. 0: 0.5
	Open   time.Duration // how long it is open at first; twice as long after each probe that fails. 0: 5 s
	Most   time.Duration // and at most. 0: 60 s
	Probes int           // calls in a row that must succeed then. 0: 3

	// Destinations is how many are remembered at once; the one that was used
	// least lately is forgotten for the next. 0: 4096.
	Destinations int

	// Excluded reports whether an error says nothing about the destination. nil:
	// Local.
	Excluded func(error) bool

	// Changed is told of each change, on the goroutine of the call that caused
	// it; it must not call the Breakers. nil: nobody.
	Changed func(destination, from, to string)
}

// ErrOpen is what an OpenError is, for errors.Is.
var ErrOpen = errors.New("breaker: open")

// OpenError says that a call was not let through.
type OpenError struct {
	Destination string
	RetryAfter  time.Duration // until the next probe; 0: as soon as those under way have ended
}

func (e *OpenError) Error() string {
	return fmt.Sprintf("breaker: %s has failed too often, next try in %v", e.Destination, e.RetryAfter.Round(time.Millisecond))
}

// Pushback is RetryAfter, for those who know the error by what it can say.
func (e *OpenError) Pushback() time.Duration { return e.RetryAfter }

// Is tells that it is an ErrOpen.
func (e *OpenError) Is(target error) bool { return target == ErrOpen }

// Local reports whether an error is this side's own: a caller that has left,
// descriptors or memory that this process or machine does not have, a refusal of
// bounds.
func Local(err error) bool {
	for _, own := range []error{context.Canceled, bounds.ErrRefused, ErrOpen,
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, own) {
			return true
		}
	}
	return false
}

// Breakers are those of all destinations. Its methods may be called from any
// goroutine.
type Breakers struct {
	cfg Config

	mu    sync.Mutex
	all   map[string]*list.Element // of *breaker
	used  *list.List               // the latest first
	stats Stats
}

// Stats counts what Breakers have done.
type Stats struct {
	Destinations int // remembered
	Open         int // of them, those that have opened and not closed since
	Refused      uint64
	Opened       uint64 // times
	Forgotten    uint64 // destinations, for others
}

// breaker is that of one destination.
type breaker struct {
	name    string
	owner   *Breakers
	counter *gobreaker.TwoStepCircuitBreaker[struct{}]

	mu     sync.Mutex
	times  int       // that it opened since it was closed
	closed time.Time // until then nothing is let through
}

// New makes Breakers, all of which are closed.
func New(cfg Config) *Breakers {
	setUnset(&cfg.Window, 10*time.Second)
	setUnset(&cfg.Calls, 20)
	setUnset(&cfg.Failed, 0.5)
	setUnset(&cfg.Open, 5*time.Second)
	setUnset(&cfg.Most, 60*time.Second)
	setUnset(&cfg.Probes, 3)
	setUnset(&cfg.Destinations, 4096)
	if cfg.Excluded == nil {
		cfg.Excluded = Local
	}
	return &Breakers{cfg: cfg, all: make(map[string]*list.Element), used: list.New()}
}

func setUnset[T int | float64 | time.Duration](v *T, unset T) {
	if *v <= 0 {
		*v = unset
	}
}

// Allow asks for one call. Who gets nil calls done, once, with what came of it:
// a call whose end is never told keeps a half-open breaker waiting. The error is
// an *OpenError.
func (b *Breakers) Allow(destination string) (done func(error), err error) {
	br := b.find(destination)
	if wait := br.wait(); wait > 0 {
		return nil, b.refuse(destination, wait)
	}
	if done, err = br.counter.Allow(); err != nil {
		return nil, b.refuse(destination, br.wait())
	}
	return done, nil
}

// Do calls f if the breaker lets it, and counts what came of it. A panic of f
// counts as a failure.
func (b *Breakers) Do(destination string, f func() error) (err error) {
	done, err := b.Allow(destination)
	if err != nil {
		return err
	}
	ended := errPanic
	defer func() { done(ended) }()
	ended = f()
	return ended
}

var errPanic = errors.New("breaker: the call panicked")

func (b *Breakers) refuse(destination string, wait time.Duration) error {
	b.mu.Lock()
	b.stats.Refused++
	b.mu.Unlock()
	return &OpenError{Destination: destination, RetryAfter: max(wait, 0)}
}

// find returns a destination's breaker, a new one if there is none.
func (b *Breakers) find(destination string) *breaker {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.all[destination]; e != nil {
		b.used.MoveToFront(e)
		return e.Value.(*breaker)
	}
	if len(b.all) >= b.cfg.Destinations {
		oldest := b.used.Back()
		delete(b.all, b.used.Remove(oldest).(*breaker).name)
		b.stats.Forgotten++
	}
	br := &breaker{name: destination, owner: b}
	br.counter = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name: destination, MaxRequests: uint32(b.cfg.Probes), Interval: b.cfg.Window, BucketPeriod: max(b.cfg.Window/10, 1),
		Timeout:       1, // this package knows better: see wait
		ReadyToTrip:   b.trips,
		IsExcluded:    func(err error) bool { return err != nil && b.cfg.Excluded(err) },
		OnStateChange: br.changed,
	})
	b.all[destination] = b.used.PushFront(br)
	return br
}

// trips reports whether what was counted is too much.
func (b *Breakers) trips(c gobreaker.Counts) bool {
	ended := c.TotalSuccesses + c.TotalFailures
	return int(ended) >= b.cfg.Calls && float64(c.TotalFailures) >= b.cfg.Failed*float64(ended)
}

// wait is how long nothing is let through yet.
func (br *breaker) wait() time.Duration {
	br.mu.Lock()
	defer br.mu.Unlock()
	if br.closed.IsZero() {
		return 0
	}
	return time.Until(br.closed)
}

// changed is told by the counter, which is locked.
func (br *breaker) changed(_ string, from, to gobreaker.State) {
	cfg := &br.owner.cfg
	switch to {
	case gobreaker.StateOpen:
		br.mu.Lock()
		d := cfg.Most
		if n := min(br.times, 30); cfg.Open<<n > 0 && cfg.Open<<n < d {
			d = cfg.Open << n
		}
		br.times++
		d += time.Duration((rand.Float64() - 0.5) * 0.4 * float64(d))
		br.closed = time.Now().Add(d)
		br.mu.Unlock()
		br.owner.mu.Lock()
		br.owner.stats.Opened++
		br.owner.mu.Unlock()
	case gobreaker.StateClosed:
		br.mu.Lock()
		br.times, br.closed = 0, time.Time{}
		br.mu.Unlock()
	}
	if cfg.Changed != nil {
		cfg.Changed(br.name, from.String(), to.String())
	}
}

// troubled reports whether it has opened and not closed since.
func (br *breaker) troubled() bool {
	br.mu.Lock()
	defer br.mu.Unlock()
	return !br.closed.IsZero()
}

// Stats returns the counts; it looks at each destination. Any goroutine.
func (b *Breakers) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stats
	s.Destinations = len(b.all)
	for e := b.used.Front(); e != nil; e = e.Next() {
		if e.Value.(*breaker).troubled() {
			s.Open++
		}
	}
	return s
}
