package idemtest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/weir-go/weir/idem"
)

// linearizes has several callers change one record at once, and looks for an
// order of the calls in which an idem.Record would have given the same answers.
func linearizes(r *room) {
	seed := rand.Uint64()
	r.Logf("seed %d", seed)
	for round := range 10 {
		r.name += "l"
		h := &history{room: r, begun: time.Now()}
		var wg sync.WaitGroup
		for caller := range 4 {
			random := rand.New(rand.NewPCG(seed, uint64(round*10+caller)))
			wg.Go(func() {
				for range 12 {
					h.call(caller, random)
				}
			})
		}
		wg.Wait()
		switch porcupine.CheckOperationsTimeout(recordModel, h.operations, patience/8) {
		case porcupine.Illegal:
			for _, o := range h.operations {
				r.Logf("%d: %9d to %9d  %s", o.ClientId, o.Call, o.Return, recordModel.DescribeOperation(o.Input, o.Output))
			}
			r.Fatal("no order explains these answers")
		case porcupine.Unknown:
			r.Log("the search took too long")
		}
	}
}

// history is what was asked and answered, and when.
type history struct {
	*room
	begun time.Time

	mu         sync.Mutex
	holds      []idem.Hold
	operations []porcupine.Operation
}

// question is one call; one of its parts is set.
type question struct {
	claim *idem.Claim
	hold  idem.Hold
	renew *idem.Renewal
	final *idem.Final
	look  bool
}

// answer is what came of it.
type answer struct {
	grant   idem.Grant
	verdict idem.Verdict
	state   idem.State
	version uint64
}

func (h *history) call(caller int, random *rand.Rand) {
	q := h.question(random)
	call := time.Since(h.begun)
	a, err := h.ask(q)
	back := time.Since(h.begun)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.Error(err)
		return
	}
	if q.claim != nil && (a.grant.Answer == idem.New || a.grant.Answer == idem.Takeover) {
		h.holds = append(h.holds, hold(*q.claim, a.grant))
	}
	h.operations = append(h.operations, porcupine.Operation{ClientId: caller, Input: q, Output: a,
		Call: int64(call), Return: int64(back)})
}

func (h *history) question(random *rand.Rand) question {
	h.mu.Lock()
	defer h.mu.Unlock()
	kind := random.IntN(10)
	if len(h.holds) == 0 || kind < 3 {
		c := claim()
		return question{claim: &c}
	}
	q := question{hold: h.holds[max(0, len(h.holds)-1-random.IntN(2))]}
	switch {
	case kind < 5:
		q.renew = &idem.Renewal{Lease: time.Hour, Retain: 2 * time.Hour}
	case kind < 7:
		q.renew = &idem.Renewal{Retain: 2 * time.Hour} // the lease is given up
	case kind < 9:
		q.final = &idem.Final{State: idem.Released, Retain: time.Hour, Print: claim().Print}
	default:
		q.look = true
	}
	return q
}

func (h *history) ask(q question) (a answer, err error) {
	switch {
	case q.claim != nil:
		a.grant, err = h.store.Begin(h.ctx, h.name, *q.claim)
		a.grant.Left = 0
	case q.renew != nil:
		a.verdict, err = h.store.Renew(h.ctx, h.name, q.hold, *q.renew)
	case q.final != nil:
		a.verdict, err = h.store.Finish(h.ctx, h.name, q.hold, *q.final)
	default:
		var r idem.Record
		r, err = h.store.Lookup(h.ctx, h.name)
		a.state, a.version = r.State, r.Version
	}
	return a, err
}

// instant is when all that the model sees happens: its leases last or are over.
var instant = time.Now()

// recordModel is an idem.Record that is asked one question after the other.
var recordModel = porcupine.Model{
	Init: func() any { return idem.Record{} },
	Step: func(state, input, output any) (bool, any) {
		r, q, a := state.(idem.Record), input.(question), output.(answer)
		switch {
		case q.claim != nil:
			old := r.Fence
			g, _ := r.Begin(instant, a.grant.Fence, *q.claim)
			granted := g.Answer == idem.New || g.Answer == idem.Takeover
			g.Left, g.Step, a.grant.Step = 0, nil, nil
			return reflect.DeepEqual(g, a.grant) && (!granted || g.Fence > old), r
		case q.renew != nil:
			return r.Renew(instant, q.hold, *q.renew) == a.verdict, r
		case q.final != nil:
			return r.Finish(instant, q.hold, *q.final) == a.verdict, r
		}
		return r.State == a.state && r.Version == a.version, r
	},
	Equal: func(x, y any) bool {
		a, b := x.(idem.Record), y.(idem.Record)
		return a.State == b.State && a.Owner == b.Owner && a.Fence == b.Fence && a.Version == b.Version &&
			a.Taken == b.Taken && a.Attempts == b.Attempts && a.Until.Equal(b.Until) && bytes.Equal(a.Step, b.Step)
	},
	DescribeOperation: func(input, output any) string {
		q, a := input.(question), output.(answer)
		switch {
		case q.claim != nil:
			return fmt.Sprintf("begin by %x: %+v", q.claim.Owner[:3], a.grant)
		case q.renew != nil:
			return fmt.Sprintf("renew by %x, lease %v: %v", q.hold.Owner[:3], q.renew.Lease, a.verdict)
		case q.final != nil:
			return fmt.Sprintf("finish by %x, %v: %v", q.hold.Owner[:3], q.final.State, a.verdict)
		}
		return fmt.Sprintf("lookup: %v at %d", a.state, a.version)
	},
}
