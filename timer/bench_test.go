package timer

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// The benchmarks run the life of a timer on this package's Heap, on a binary
// heap made with container/heap, and on the runtime's timers, with as many
// outstanding as the name says:
//
//	go test -run - -bench Life -benchtime 150ms ./timer
//
// once and again, for medians. Each structure is measured on these patterns:
//
//	set    connections arrive: their timers, one after the other in memory, are
//	       initialised and set to instants up to a minute ahead, in no order
//	push   messages come, on connections in no order in memory: each moves the
//	       timer to a later instant, and three come for each
//	stop   connections end, in another order
//	fire   timers are set as above, and come up one by one: with a wake-up for
//	       each on the Heap
//
// Half as many others stay set all the while, so that n is about what is
// outstanding on average. The figures are processor nanoseconds for one timer,
// of all threads, with what the garbage collector does meanwhile.
var sizes = []int{1000, 100_000, 1_000_000}

// far keeps the runtime's timers from firing while they are measured.
const far = time.Hour

// shuffled returns the numbers below n in an order that no prefetcher knows.
func shuffled(n int, seed uint64) []int {
	return rand.New(rand.NewPCG(seed, 0)).Perm(n)
}

// filled returns a heap with n timers set at random instants up to far.
func filled(n int) (*Heap, []Timer) {
	h, ts := new(Heap), make([]Timer, n)
	for i, at := range shuffled(n, 1) {
		ts[i].Init(Func(func(Time) {}))
		h.Set(&ts[i], Time(at+1)*(Time(far)/Time(n)))
	}
	return h, ts
}

// A plan is what every structure is put through. Timers are known by their
// number, which is their order in memory.
type plan struct {
	n     int
	whens []Time // for each timer
	later []Time // for each message
	heard []int  // whom a message is for
	ended []int  // the order in which they are stopped
}

const (
	minute = Time(time.Minute)
	pushes = 3 // messages for each timer
)

func newPlan(n int) *plan {
	p := &plan{n: n, heard: shuffled(n, 2), ended: shuffled(n, 3)}
	for _, at := range shuffled(n, 1) {
		p.whens = append(p.whens, Time(at+1)*p.step())
	}
	for i := range pushes * n {
		p.later = append(p.later, minute+Time(i+1)*p.step())
	}
	return p
}

// step is the time from one timer to the next.
func (p *plan) step() Time { return minute / Time(p.n) }

// pick returns pointers to timers in an order, as events carry them.
func pick[T any](order []int, at func(i int) *T) []*T {
	ps := make([]*T, len(order))
	for i, x := range order {
		ps[i] = at(x)
	}
	return ps
}

// A rival is one structure in the plan. The loops are written out for each, so
// that no call goes through an interface or a closure.
type rival interface {
	others()
	set(now Time)
	line() // not measured: makes the lists for push and stop
	push(now Time)
	stop()
	fire(now Time)
}

// ours is the Heap. Its owner sleeps until Next, as a loop does.
type ours struct {
	*plan
	h            Heap
	ts           []Timer
	heard, ended []*Timer
	fired        int
}

func newOurs(p *plan) rival {
	return &ours{plan: p, ts: make([]Timer, p.n+p.n/2)}
}

func (o *ours) Fire(Time) { o.fired++ }

func (o *ours) others() {
	for i := o.n; i < len(o.ts); i++ {
		o.ts[i].Init(o)
		o.h.Set(&o.ts[i], Time(i)*Time(far))
	}
}

func (o *ours) set(now Time) {
	ts := o.ts[:len(o.whens)]
	for i, when := range o.whens {
		ts[i].Init(o)
		o.h.Set(&ts[i], now+when)
	}
}

func (o *ours) line() {
	at := func(i int) *Timer { return &o.ts[i] }
	o.heard, o.ended = pick(o.plan.heard, at), pick(o.plan.ended, at)
}

func (o *ours) push(now Time) {
	for left := o.later; len(left) > 0; left = left[o.n:] {
		later := left[:len(o.heard)]
		for i, t := range o.heard {
			o.h.Set(t, now+later[i])
		}
	}
}

func (o *ours) stop() {
	for _, t := range o.ended {
		o.h.Stop(t)
	}
}

func (o *ours) fire(now Time) {
	o.set(now)
	for o.fired = 0; o.fired < o.n; {
		when, _ := o.h.Next()
		o.h.Advance(when)
	}
}

// runtimes are timers of the runtime, each far away until fire.
type runtimes struct {
	*plan
	ts           []*time.Timer
	heard, ended []*time.Timer
	fired        atomic.Int64
	done         chan struct{}
}

func newRuntimes(p *plan) rival {
	return &runtimes{plan: p, ts: make([]*time.Timer, p.n+p.n/2), done: make(chan struct{})}
}

func (r *runtimes) Fire() {
	if r.fired.Add(1) == int64(r.n) {
		r.done <- struct{}{}
	}
}

func (r *runtimes) others() {
	for i := r.n; i < len(r.ts); i++ {
		r.ts[i] = time.AfterFunc(2*far+time.Duration(i), r.Fire)
	}
}

func (r *runtimes) set(Time) {
	ts, fire := r.ts[:len(r.whens)], r.Fire
	for i, when := range r.whens {
		ts[i] = time.AfterFunc(far+time.Duration(when), fire)
	}
}

func (r *runtimes) line() {
	at := func(i int) *time.Timer { return r.ts[i] }
	r.heard, r.ended = pick(r.plan.heard, at), pick(r.plan.ended, at)
}

func (r *runtimes) push(Time) {
	for left := r.later; len(left) > 0; left = left[r.n:] {
		later := left[:len(r.heard)]
		for i, t := range r.heard {
			t.Reset(far + time.Duration(later[i]))
		}
	}
}

func (r *runtimes) stop() {
	for _, t := range r.ended {
		t.Stop()
	}
}

// fire sets them all to come up one microsecond after the other, the first when
// all are set.
func (r *runtimes) fire(Time) {
	r.fired.Store(0)
	fire, step := r.Fire, r.step()
	for i, when := range r.whens {
		r.ts[i] = time.AfterFunc(time.Duration(Time(r.n)+when/step)*time.Microsecond, fire)
	}
	<-r.done
}

// cpu returns the processor time that this process has used: other processes
// take their share of a machine's time, and none of this.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

var rivals = []struct {
	name string
	make func(*plan) rival
}{{"heap", newOurs}, {"container", newBoxed}, {"AfterFunc", newRuntimes}}

func BenchmarkLife(b *testing.B) {
	for _, n := range sizes {
		p := newPlan(n)
		for _, r := range rivals {
			b.Run(fmt.Sprintf("%s/%d", r.name, n), func(b *testing.B) { life(b, p, r.make(p)) })
		}
	}
}

func life(b *testing.B, p *plan, w rival) {
	now, looking := Time(0), cost(func() {})
	for range 100 {
		looking = min(looking, cost(func() {}))
	}
	phases := [...]struct {
		name  string
		run   func()
		times int
	}{
		{"set-ns", func() { w.set(now) }, 1},
		{"", w.line, 1},
		{"push-ns", func() { w.push(now) }, pushes},
		{"stop-ns", w.stop, 1},
		{"fire-ns", func() { w.fire(now) }, 1},
	}
	var spent [len(phases)]time.Duration
	w.others()
	round := func() {
		for i, phase := range phases {
			spent[i] += cost(phase.run) - looking
		}
		now += minute
	}
	round() // one that does not count: storage grows in it
	clear(spent[:])
	for b.Loop() {
		round()
	}
	b.ReportMetric(0, "ns/op")
	for i, phase := range phases {
		if phase.name != "" {
			b.ReportMetric(float64(spent[i])/float64(b.N)/float64(p.n*phase.times), phase.name)
		}
	}
}

// cost returns the processor time that f takes.
func cost(f func()) time.Duration {
	begin := cpu()
	f()
	return cpu() - begin
}

// BenchmarkPushOn moves a timer to a later instant, as each message does with
// the idle deadline of its connection, while time goes on: every 16n moves all
// of them come up once and are placed anew, which the figure includes.
func BenchmarkPushOn(b *testing.B) {
	for _, n := range sizes {
		order := shuffled(n, 1)
		b.Run(fmt.Sprintf("heap/%d", n), func(b *testing.B) {
			h, ts := filled(n)
			now := Time(0)
			for i := 0; b.Loop(); i++ {
				now += Time(far) / Time(n) / 16 // sixteen messages each within the time-out
				h.Set(&ts[order[i%n]], now+Time(far))
				h.Advance(now)
			}
		})
	}
}

// BenchmarkMemory fills a heap with timers and reports what each takes there,
// beside the 32 bytes where it is embedded.
func BenchmarkMemory(b *testing.B) {
	for _, n := range append(sizes, 10_000_000) {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var bytes uint64
			for b.Loop() {
				ts, whens := make([]Timer, n), shuffled(n, 1)
				f, before := Func(func(Time) {}), live()
				h := new(Heap)
				for i := range ts {
					ts[i].Init(f)
					h.Set(&ts[i], Time(whens[i]+1)*(minute/Time(n)))
				}
				bytes = live() - before
				runtime.KeepAlive(h)
				runtime.KeepAlive(ts)
				runtime.KeepAlive(whens)
			}
			b.ReportMetric(float64(bytes)/float64(n), "B/timer")
		})
	}
}

// live returns the bytes that are in use after a collection.
func live() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func BenchmarkNow(b *testing.B) {
	for b.Loop() {
		Now()
	}
}
