package bounds

import (
	"errors"
	"math"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-go/weir/timer"
)

// TestStatesOfDescriptors: what each state takes away, on the way up and down.
func TestStatesOfDescriptors(t *testing.T) {
	b, h := byHand(t, Config{}, &kernel{soft: 1024}) // capacity 960: 85 % is 816, 90 % 864, 97 % 931.2
	take(t, b, Server, 816)
	wantState(t, b, Normal)
	h.passes(time.Second)
	wantState(t, b, Shed)
	if err := b.Admit(); !errors.Is(err, ErrRefused) {
		t.Fatal(err)
	}

	take(t, b, Stream, 48) // connections still come in
	wantState(t, b, Critical)
	for _, c := range []Class{Server, Stream} {
		if err := b.Take(c); !errors.Is(err, ErrRefused) {
			t.Fatalf("%s: %v", c, err)
		}
	}
	take(t, b, Client, 67)
	take(t, b, Other, 1)
	wantState(t, b, Hard)
	for _, c := range []Class{Server, Stream, Client, Other, 0, 99} {
		if err := b.Take(c); !errors.Is(err, ErrRefused) {
			t.Fatalf("%s: %v", c, err)
		}
	}
	take(t, b, Admin, 10)
	h.passes(time.Minute)
	wantState(t, b, Hard)

	give(b, Server, 816)
	h.passes(10*time.Second + 2*every) // the first look sees the peak, the second the calm
	wantState(t, b, Critical)
	h.passes(10 * time.Second)
	wantState(t, b, Shed)
	h.passes(5 * time.Second)
	wantState(t, b, Normal)
	s := b.Stats()
	want := []ResourceStats{{Resource: Descriptors, Load: s.Verdict.Load, Entered: [States]uint64{1, 2, 2, 1}, Refused: [Classes][States]uint64{
		0: {Shed: 1}, Client: {Hard: 1}, Server: {Critical: 1, Hard: 1}, Stream: {Critical: 1, Hard: 1}, Other: {Hard: 3}}}}
	if len(s.Resources) != 1 || s.Resources[0] != want[0] {
		t.Errorf("%+v, want %+v", s.Resources, want)
	}
	if s.Taken != 126 || s.Classes[Stream].Used != 48 || s.Classes[Server] != (ClassStats{Share: 432, Taken: 816, Refused: 2}) ||
		s.Classes[Other].Refused != 3 || s.StreamsRefused != 1 {
		t.Errorf("%+v", s)
	}
}

// TestShareIsTheReason: who has had his share is told so, whatever else there is
// too little of.
func TestShareIsTheReason(t *testing.T) {
	b, h := byHand(t, Config{}, &kernel{soft: 1024})
	stop, err := b.Watch(Memory, func() float64 { return 0.86 })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	h.passes(2 * time.Second)
	take(t, b, Admin, 19) // all of its share
	take(t, b, Farewell, 9)
	var r *Refusal
	if err := b.Take(Farewell); !errors.As(err, &r) || r.Verdict.Resource != Descriptors || r.Verdict.State != Normal {
		t.Errorf("%v", err)
	}
	if err := b.Admit(); !errors.As(err, &r) || r.Verdict.Resource != Memory {
		t.Errorf("%v", err)
	}
	s := b.Stats()
	if len(s.Resources) != 2 || s.Resources[0].Refused[Farewell][Normal] != 1 || s.Resources[1].Refused[0][Shed] != 1 {
		t.Errorf("%+v", s.Resources)
	}
}

// TestNoneLeft: the kernel is right, whatever is counted here; and it is asked
// again at once.
func TestNoneLeft(t *testing.T) {
	k := &kernel{soft: 1024}
	b, h := byHand(t, Config{}, k)
	take(t, b, Server, 10)
	b.Exhausted(Descriptors)
	wantState(t, b, Hard)
	k.open = 900
	h.passes(0)
	if s := b.Stats(); s.Untracked != 890 || s.Counts != 2 || s.Resources[0].Exhausted != 1 {
		t.Errorf("%+v", s)
	}
	k.open = 10
	h.passes(20 * time.Second)
	if s := b.Stats(); s.Untracked != 0 || s.Verdict.State == Normal {
		t.Errorf("%+v", s)
	}
	h.passes(20 * time.Second)
	wantState(t, b, Normal)
}

// TestKernelsCount: what others open is seen when the kernel is asked, and so is
// another limit; what it does not say changes nothing.
func TestKernelsCount(t *testing.T) {
	k := &kernel{soft: 1024, open: 20}
	b, h := byHand(t, Config{}, k)
	take(t, b, Client, 5)
	k.open, k.soft = 55, 256
	h.passes(9 * time.Second)
	if s := b.Stats(); s.Untracked != 20 || s.Limit != 1024 || s.Counts != 1 {
		t.Errorf("%+v", s)
	}
	h.passes(time.Second)
	if s := b.Stats(); s.Untracked != 50 || s.Limit != 256 || s.Capacity != 224 || s.Taken != 5 || s.Classes[Client].Share != 62 {
		t.Errorf("%+v", s)
	}
	k.err = os.ErrPermission
	h.passes(10 * time.Second)
	if s := b.Stats(); s.Untracked != 50 || s.Limit != 256 || s.CountErrors != 1 || s.Counts != 3 {
		t.Errorf("%+v", s)
	}
	if _, err := newBounds(Config{}, sources{k.limit, k.inUse, timer.Now}); !errors.Is(err, os.ErrPermission) {
		t.Error(err)
	}
	b, _ = byHand(t, Config{Limit: 100, Reserve: 10}, &kernel{soft: 1024})
	if s := b.Stats(); s.Limit != 100 || s.Capacity != 90 {
		t.Errorf("%+v", s)
	}
}

// TestTheWorstIsNamed in the verdict and in refusals.
func TestTheWorstIsNamed(t *testing.T) {
	b, h := byHand(t, Config{}, &kernel{soft: 1024})
	loads := map[Resource]float64{}
	watch := func(name, under Resource) (stop func()) {
		stop, err := b.Watch(under, func() float64 { return loads[name] })
		if err != nil {
			t.Fatal(err)
		}
		return stop
	}
	watch(Memory, Memory)
	stop := watch("another of it", Memory)
	watch(Goroutines, Goroutines)
	take(t, b, Server, 864)
	loads[Memory], loads["another of it"], loads[Goroutines] = 0.1, 0.92, math.NaN()
	h.passes(2 * time.Second)
	if v := b.Verdict(); v.State != Critical || v.Resource != Descriptors || v.Load != 0.9 {
		t.Errorf("%+v", v)
	}
	h.passes(every)
	if v := b.Verdict(); v.State != Critical || v.Resource != Memory || v.Load != 0.92 {
		t.Errorf("%+v", v)
	}
	loads[Memory] = math.NaN() // hides nothing
	h.passes(every)
	if v := b.Verdict(); v.State != Critical || v.Resource != Memory || v.Load != 0.92 {
		t.Errorf("with a load that is not a number: %+v", v)
	}
	loads[Goroutines] = 2
	h.passes(5*time.Second + every)
	var r *Refusal
	if err := b.Take(Client); !errors.As(err, &r) {
		t.Fatal(err)
	}
	if want := "bounds: a descriptor (client) was refused: hard, goroutines at 200 %"; r.Error() != want || r.Class != Client {
		t.Errorf("%s, want %s", r, want)
	}
	err := b.Admit()
	if !errors.As(err, &r) || r.Class != 0 || !strings.Contains(r.Error(), "a stream was refused") {
		t.Fatal(err)
	}
	// 25 s to Normal, a second, and somewhere in the ramp.
	first, last := r.RetryAfter, r.RetryAfter
	for range 200 {
		errors.As(b.Admit(), &r)
		first, last = min(first, r.RetryAfter), max(last, r.RetryAfter)
	}
	if first < 26*time.Second || first > 28*time.Second || last < 34*time.Second || last > 36*time.Second {
		t.Errorf("come back in %v to %v", first, last)
	}
	loads[Goroutines] = 0
	stop()
	h.passes(25 * time.Second)
	if v := b.Verdict(); v.State != Critical || v.Resource != Descriptors || v.Load != 0.9 {
		t.Errorf("%+v", v)
	}
	b.Exhausted(Memory)
	if v := b.Verdict(); v.State != Hard || v.Resource != Memory {
		t.Errorf("%+v", v)
	}
}

// TestStreamsComeBackByAndBy, evenly and in proportion to the time that has
// passed.
func TestStreamsComeBackByAndBy(t *testing.T) {
	b, h := byHand(t, Config{}, &kernel{soft: 1024})
	admitted := func() (n int) {
		for range 1000 {
			if b.Admit() == nil {
				n++
			}
		}
		return n
	}
	if n := admitted(); n != 1000 {
		t.Fatalf("%d of 1000 in the beginning", n)
	}
	take(t, b, Server, 820)
	h.passes(2 * time.Second)
	give(b, Server, 820)
	h.passes(4 * time.Second)
	if n := admitted(); n != 0 {
		t.Fatalf("%d of 1000 in %s", n, b.Verdict().State)
	}
	for b.Verdict().State != Normal {
		h.passes(every)
	}
	for i := range 11 {
		if n := admitted(); n < 100*i-1 || n > 100*i+1 {
			t.Errorf("%d of 1000 after %d s", n, i)
		}
		var r *Refusal
		if err := b.Admit(); err != nil && (!errors.As(err, &r) || r.RetryAfter > time.Duration(11-i)*time.Second) {
			t.Errorf("%+v", r)
		}
		h.passes(time.Second)
	}
}

// TestTokensBalance under storms of goroutines that take and give, and of the
// kernel's counts.
func TestTokensBalance(t *testing.T) {
	k := &kernel{soft: 512}
	b, h := byHand(t, Config{Count: 1}, k)
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 2000 {
				c := Class(1 + (g+i)%(Classes-1))
				if b.Take(c) != nil {
					continue
				}
				if i%50 == 0 {
					b.Force(c)
					b.Give(c)
				}
				b.Give(c)
			}
		})
	}
	over := make(chan struct{})
	go func() { all.Wait(); close(over) }()
	for done := false; !done; {
		select {
		case <-over:
			done = true
		default:
			h.passes(every)
		}
	}
	if s := b.Stats(); s.Taken != 0 || s.Overdrawn != 0 || s.Untracked != 0 {
		t.Errorf("%+v", s)
	}
	b.Give(Server)
	if s := b.Stats(); s.Taken != 0 || s.Overdrawn != 1 {
		t.Errorf("one too many given back: %+v", s)
	}
}

// TestChangesAreTold in order, by a Bounds that watches by itself.
func TestChangesAreTold(t *testing.T) {
	changes := make(chan Change, 8)
	quick := Rules{
		Rule{Enter: 0.5, Leave: 0.4, Calm: time.Millisecond},
		Rule{Enter: 0.6, Leave: 0.5, Calm: time.Millisecond},
		Rule{Enter: 0.7, Leave: 0.6, Calm: time.Millisecond},
	}
	b, err := New(Config{Raise: true, Loads: quick, Ramp: -1, Changed: func(c Change) { changes <- c }})
	if err != nil {
		t.Fatal(err)
	}
	began := timer.Now()
	b.Exhausted("tape")
	for _, want := range []Change{{From: Normal, To: Hard}, {From: Hard, To: Critical}, {From: Critical, To: Shed}, {From: Shed, To: Normal}} {
		got := <-changes
		if got.Resource != "tape" || got.From != want.From || got.To != want.To || got.At < began || got.At > timer.Now() {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	if v := b.Verdict(); v.Streams != 1 {
		t.Errorf("%+v without a ramp", v)
	}
	if s := b.Stats(); s.Limit <= 0 || s.Untracked == 0 || s.ChangesLost != 0 {
		t.Errorf("%+v", s)
	}
	if b.Close() != nil || b.Close() != nil {
		t.Error("Close")
	}
}

// TestChangesThatNobodyTakes do not pile up: the last ones are kept.
func TestChangesThatNobodyTakes(t *testing.T) {
	var told []Change
	b, h := byHand(t, Config{Changed: func(c Change) { told = append(told, c) }}, &kernel{soft: 1024})
	for range maxUntold {
		b.Exhausted(Descriptors)
		h.passes(26 * time.Second)
	}
	b.tell()
	b.tell()
	if len(told) != maxUntold || told[maxUntold-1].To != Normal || told[0].At < h.time().Add(-maxUntold/4*26*time.Second) {
		t.Errorf("%d told, the first %+v, at %v", len(told), told[0], h.time())
	}
	if s := b.Stats(); s.ChangesLost != 3*maxUntold {
		t.Errorf("%d lost", s.ChangesLost)
	}
}

// TestLoadsAreBounded: neither loads nor the names of what they are of grow
// without end.
func TestLoadsAreBounded(t *testing.T) {
	b, h := byHand(t, Config{}, &kernel{soft: 1024})
	none := func() float64 { return 0 }
	for i := range maxGauges - 1 {
		stop, err := b.Watch(Resource(rune('a'+i)), none)
		if err != nil {
			t.Fatal(i, err)
		}
		stop()
		stop()
	}
	if _, err := b.Watch("one more name", none); !errors.Is(err, ErrGauges) {
		t.Error(err)
	}
	b.Exhausted("one more name")
	for range maxGauges {
		if _, err := b.Watch(Memory, none); err != nil && !errors.Is(err, ErrGauges) {
			t.Fatal(err)
		}
	}
	h.passes(every)
	wantState(t, b, Normal)
}

// TestTakingAllocatesNothing, nor does asking for a stream.
func TestTakingAllocatesNothing(t *testing.T) {
	b, _ := byHand(t, Config{}, &kernel{soft: 1024})
	if n := testing.AllocsPerRun(1000, func() {
		if b.Take(Server) != nil || b.Admit() != nil {
			t.Fatal("refused")
		}
		b.Give(Server)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkTake(b *testing.B) {
	all, err := New(Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer all.Close()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if all.Take(Server) == nil {
				all.Give(Server)
			}
		}
	})
}
