package sched_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/weir-go/weir/sched"
)

// rounds of the property below; SCHED_ROUNDS=1000 makes it a soak.
func rounds() int {
	n, err := strconv.Atoi(os.Getenv("SCHED_ROUNDS"))
	if err != nil {
		return 60
	}
	return n
}

// Whatever policies jobs have and whatever happens to them, as many instants are
// in the ledger as were due.
func TestLedgerIsWhatWasDue(t *testing.T) {
	for seed := range uint64(rounds()) {
		ledgerIsWhatWasDue(t, rand.New(rand.NewPCG(seed, 4)), seed)
		if t.Failed() {
			return
		}
	}
}

// due is a task, and when it was there.
type owed struct {
	name    string
	task    *sched.Task
	trigger sched.Trigger
	from    time.Time
	want    uint64
	cancel  context.CancelFunc
	ended   bool
	log     string
}

func (o *owed) upto(now time.Time) {
	o.log += fmt.Sprintf("%v upto %v %v; ", o.trigger, sec(now), o.task.Info())
	n, _, _ := sched.Count(o.trigger, o.from, now, 1e9)
	o.want += n
	o.from = now
}

func ledgerIsWhatWasDue(t *testing.T, rnd *rand.Rand, seed uint64) {
	k := newKit(t, sched.Config{Workers: 1 + rnd.IntN(4), Replaced: rnd.IntN(3) - 1,
		Queues:    []sched.Queue{{Capacity: 1 + rnd.IntN(4), Full: []sched.FullPolicy{sched.Reject, sched.DropOldest}[rnd.IntN(2)]}, {Name: "q", Concurrency: 1, Rate: 3}},
		Resources: []sched.Resource{{Name: "r", N: 1 + rnd.IntN(2)}}, State: new(sched.MemoryState), Guard: new(sched.MemoryGuard)})
	b := &bodies{rnd: rand.New(rand.NewPCG(seed, 5))}
	var all []*owed
	for i := range 2 + rnd.IntN(6) {
		j := randomJob(rnd, fmt.Sprint(i))
		j.Do = b.do
		ctx, cancel := context.WithCancel(t.Context())
		o := &owed{name: j.Name, trigger: j.Trigger, from: k.clock.Wall(), cancel: cancel}
		task, err := k.Add(ctx, j)
		k.ok(err)
		o.task = task
		all = append(all, o)
		defer cancel()
	}
	for range 40 {
		o := all[rnd.IntN(len(all))]
		switch rnd.IntN(12) {
		case 0, 1, 2, 3:
			k.clock.Advance(upTo(rnd, 1500*time.Millisecond))
		case 4:
			k.clock.Stall(upTo(rnd, 10*time.Second))
		case 5, 6:
			b.endOne(rnd)
		case 7:
			o.task.Pause()
		case 8:
			o.task.Resume()
		case 9:
			_ = o.task.Run(t.Context())
		case 10:
			if rnd.IntN(4) == 0 && !o.ended {
				o.ended = true
				o.upto(k.clock.Wall())
				o.task.Cancel()
			}
		default:
			if rnd.IntN(2) == 0 && !o.ended {
				o.upto(k.clock.Wall())
				o.trigger = randomTrigger(rnd)
				k.ok(o.task.Reschedule(o.trigger))
			}
		}
		k.clock.Advance(0)
		for range 30 { // workers have their turn
			runtime.Gosched()
		}
	}
	for _, o := range all {
		if !o.ended {
			o.upto(k.clock.Wall())
		}
	}
	b.endAll()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := k.Close(ctx); err != nil && !errors.As(err, new(*sched.OrphansError)) { // who were told to end a moment ago
		t.Errorf("seed %d: %v", seed, err)
	}
	k.until(func(st sched.Stats) bool { return st.Workers == 0 })
	k.settle() // their lines are told
	total := uint64(0)
	for _, o := range all {
		got := k.count(func(l sched.Line) bool { return l.Job == o.name && !l.Manual })
		total += o.want
		if got != o.want {
			t.Errorf("seed %d: task %s: %d of %d instants: %s\n%s", seed, o.name, got, o.want, k.told(o.name), o.log)
		}
	}
	if st := k.Stats(); st.Workers != 0 || st.Waiting != 0 || st.Retrying != 0 || st.Tasks != 0 || st.Lost != 0 || st.Resources[0].Free != st.Resources[0].N {
		t.Errorf("seed %d: %+v", seed, st)
	}
}

func randomTrigger(rnd *rand.Rand) sched.Trigger {
	every := sched.Every{Period: 50*time.Millisecond + upTo(rnd, 2*time.Second), Jitter: 40 * time.Millisecond, Seed: fmt.Sprint(rnd.Uint32())}
	if rnd.IntN(3) == 0 {
		return struct{ sched.Trigger }{every} // on the wall clock, and cannot count
	}
	return every
}

func randomJob(rnd *rand.Rand, name string) sched.Job {
	j := sched.Job{Name: name, Trigger: randomTrigger(rnd), Queue: []string{"", "q"}[rnd.IntN(2)],
		Priority:  sched.Priority(rnd.IntN(4) - 1),
		Timeout:   upTo(rnd, time.Second) * time.Duration(rnd.IntN(2)),
		Deadline:  upTo(rnd, 3*time.Second) * time.Duration(rnd.IntN(2)),
		Grace:     1 + upTo(rnd, time.Second),
		Overlap:   sched.Overlap{Policy: sched.OverlapPolicy(rnd.IntN(5)), Most: 1 + rnd.IntN(4)},
		Misfire:   sched.Misfire{Policy: sched.MisfirePolicy(rnd.IntN(3)), Most: 1 + rnd.IntN(5), Window: upTo(rnd, 20*time.Second), After: upTo(rnd, time.Second)},
		Retry:     sched.Retry{Tries: rnd.IntN(4), First: upTo(rnd, time.Second)},
		Orphan:    sched.OrphanPolicy(rnd.IntN(2)),
		Reentrant: rnd.IntN(3) == 0, Guarded: rnd.IntN(3) == 0}
	j.Durable = rnd.IntN(3) == 0 && j.Overlap.Policy != sched.Allow
	if rnd.IntN(2) == 0 {
		j.Needs = []sched.Need{{Resource: "r"}}
	}
	return j
}

// bodies end at once, fail, panic, or go on until they are told, whether or not
// their context has ended.
type bodies struct {
	mu   sync.Mutex
	rnd  *rand.Rand
	open []chan struct{}
	over bool
}

func (b *bodies) do(ctx context.Context, f sched.Fire) error {
	b.mu.Lock()
	how, end := b.rnd.IntN(8), make(chan struct{})
	if b.over {
		how = 0
	}
	if how >= 4 {
		b.open = append(b.open, end)
	}
	b.mu.Unlock()
	switch how {
	case 0, 1:
		return nil
	case 2:
		return errors.New("no")
	case 3:
		panic("no")
	case 4:
		<-end // deaf
		return nil
	}
	select {
	case <-end:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *bodies) endOne(rnd *rand.Rand) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.open) > 0 {
		i := rnd.IntN(len(b.open))
		close(b.open[i])
		b.open = append(b.open[:i], b.open[i+1:]...)
	}
}

func (b *bodies) endAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	for _, c := range b.open {
		close(c)
	}
	b.open = nil
}

func upTo(rnd *rand.Rand, d time.Duration) time.Duration { return time.Duration(rnd.Int64N(int64(d))) }
