package bounds

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/weir-go/weir/timer"
)

// Verdict is what all states together come to.
type Verdict struct {
	State    State
	Resource Resource   // in it: the one that is worst off
	Load     float64    // of that
	Since    timer.Time // that it is so; 0: from the beginning

	// Streams is the part of new streams that is let in: all (1) in Normal but
	// for Config.Ramp after it came back to that, none otherwise.
	Streams float64

	// Back is how long it takes until everything is Normal, at least.
	Back time.Duration
}

// ErrRefused is what a Refusal is, for errors.Is.
var ErrRefused = errors.New("bounds: refused")

// Refusal is why something was not let in. It is an ErrRefused.
type Refusal struct {
	Class   Class   // of the descriptor; 0: it was a stream
	Verdict Verdict // why: Resource is what there is too little of, Descriptors also when the class has its share

	// RetryAfter is when trying again makes sense: when the state may be Normal
	// again and then some time in the ramp, another for each.
	RetryAfter time.Duration
}

func (r *Refusal) Error() string {
	what := "a stream"
	if r.Class != 0 {
		what = "a descriptor (" + r.Class.String() + ")"
	}
	return fmt.Sprintf("bounds: %s was refused: %s, %s at %.0f %%", what, r.Verdict.State, r.Verdict.Resource, 100*r.Verdict.Load)
}

// Is tells that it is an ErrRefused.
func (r *Refusal) Is(target error) bool { return target == ErrRefused }

// Verdict returns what the states come to at present.
func (b *Bounds) Verdict() Verdict { return *b.verdict.Load() }

// Admit asks for a new stream: something that lasts and that can be refused in
// its own terms, and done in a smaller way instead. Nothing is to be given back.
// The error is a *Refusal.
func (b *Bounds) Admit() error {
	v := b.verdict.Load()
	if v.Streams < 1 && !b.hasTurn(v.Streams) {
		b.streams.refused.Add(1)
		b.mu.Lock()
		b.resource(v.Resource).refused[0][v.State]++
		b.mu.Unlock()
		return b.refusal(0, *v)
	}
	b.streams.let.Add(1)
	return nil
}

// hasTurn lets a part of those that ask in, evenly.
func (b *Bounds) hasTurn(part float64) bool {
	n := float64(b.asked.Add(1))
	return int64(n*part) > int64((n-1)*part)
}

// refusal is the error for class c, 0 for a stream, by what v says.
func (b *Bounds) refusal(c Class, v Verdict) error {
	r := &Refusal{Class: c, Verdict: v, RetryAfter: v.Back}
	spread := time.Duration((1 - v.Streams) * float64(max(b.cfg.Ramp, 0)))
	if v.State != Normal || c != 0 {
		spread = max(b.cfg.Ramp, 0)
	}
	r.RetryAfter += time.Second + rand.N(max(spread, time.Second))
	return r
}
