package bounds

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-go/weir/internal/sock"
	"github.com/weir-go/weir/timer"
)

// Config says what the bounds are. The zero value works.
type Config struct {
	// Limit is how many descriptors the process may have. Zero: the soft limit of
	// RLIMIT_NOFILE, asked for again now and then; it is never more than that.
	Limit int

	// Raise raises the soft limit to the hard one first, as far as the system
	// lets it. The Go runtime does so at start on most systems already.
	Raise bool

	// Reserve is how many are never handed out, for what the process opens
	// without asking here. Zero: a fiftieth of the limit, but 64 at least, and of
	// a small limit an eighth.
	Reserve int

	Shares Shares        // of the classes. Zero: see there
	Borrow float64       // part in use up to which a class may take more than its share. 0: 0.95
	Rules  Rules         // of the states of descriptors. Zero, each of them: as in the package's comment
	Loads  Rules         // of what is watched. Zero, each of them: the same, but two seconds to Critical and five to Hard
	Ramp   time.Duration // over which streams come back after Shed, evenly. 0: 10 s; negative: at once

	// Count is how often the kernel is asked how many descriptors are open; it
	// is asked sooner when somebody found none. Zero: 10 s.
	Count time.Duration

	// Changed is told of each change of a state, in order, on the goroutine of
	// the Bounds: watching waits for it.
	Changed func(Change)
}

// Resource is something that can run out, by its name.
type Resource string

const (
	Descriptors Resource = "descriptors"
	Memory      Resource = "memory"
	Goroutines  Resource = "goroutines"
)

// Change says that the state of a resource has changed.
type Change struct {
	Resource Resource
	From, To State
	Load     float64
	At       timer.Time
}

// every is how often loads are looked at. Descriptors that are taken are looked
// at besides that, where it matters.
const every = 250 * time.Millisecond

// maxGauges bounds how many loads are watched, and of how many resources;
// maxUntold how many changes wait
// for Config.Changed; the oldest are lost first.
const (
	maxGauges = 256
	maxUntold = 64
)

// ErrGauges is what Watch answers when too many loads are watched.
var ErrGauges = errors.New("bounds: too many loads are watched")

// Bounds is what a process may hold. Its methods may be called from any
// goroutine.
type Bounds struct {
	cfg     Config
	sources sources
	wake    chan struct{} // room for one: there are changes to tell
	quit    chan struct{} // closed by Close
	ended   chan struct{} // closed when the goroutine has ended
	once    sync.Once

	verdict atomic.Pointer[Verdict]
	asked   atomic.Uint64 // Admits during a ramp, of which a part is let in
	streams tally

	mu        sync.Mutex // guards what follows, for a few lines
	fds       budget
	alarm     int // descriptors in use at which they are looked at without waiting
	classes   [Classes]tally
	resources []*resource // descriptors first
	gauges    []*gauge
	normal    timer.Time // when it came back to Normal; 0: it has always been
	counted   timer.Time // when the kernel was asked last; 0: ask it
	counts    uint64
	countErrs uint64
	untold    []Change
	lost      uint64
}

// sources are where the limit, the kernel's count and the time come from. Tests have their
// own.
type sources struct {
	limit func() (soft, hard uint64, err error)
	inUse func() (int, error)
	now   func() timer.Time
}

type tally struct{ let, refused atomic.Uint64 }

// resource is one that can run out.
type resource struct {
	name    Resource
	machine machine
	load    float64
	out     bool // since the last step
	entered [States]uint64
	outs    uint64
	refused [Classes][States]uint64 // by class, 0 for streams
}

// gauge is a load that somebody else knows.
type gauge struct {
	of   *resource
	load func() float64
	last float64 // the goroutine's
}

// New makes Bounds, and starts the goroutine that watches. Who made it closes
// it. Errors: ErrRules, and what getrlimit(2) and setrlimit(2) say.
func New(cfg Config) (*Bounds, error) {
	b, err := newBounds(cfg, sources{limit: sock.Limit, inUse: sock.InUse, now: timer.Now})
	if err != nil {
		return nil, err
	}
	go b.run()
	return b, nil
}

// newBounds makes one that a test watches by hand.
func newBounds(cfg Config, from sources) (*Bounds, error) {
	cfg.setDefaults()
	if err := errors.Join(cfg.Rules.check("Rules"), cfg.Loads.check("Loads")); err != nil {
		return nil, err
	}
	if cfg.Raise {
		if err := sock.RaiseLimit(); err != nil {
			return nil, err
		}
	}
	b := &Bounds{cfg: cfg, sources: from, wake: make(chan struct{}, 1),
		quit: make(chan struct{}), ended: make(chan struct{})}
	limit, err := b.limit()
	if err != nil {
		return nil, err
	}
	b.resources = []*resource{{name: Descriptors, machine: newMachine(cfg.Rules)}}
	b.resize(limit)
	b.judge(from.now())
	return b, nil
}

func (cfg *Config) setDefaults() {
	cfg.Shares.setDefaults()
	cfg.Rules.setDefaults(0, 0)
	cfg.Loads.setDefaults(2*time.Second, 5*time.Second)
	if cfg.Borrow <= 0 {
		cfg.Borrow = 0.95
	}
	if cfg.Ramp == 0 {
		cfg.Ramp = 10 * time.Second
	}
	if cfg.Count <= 0 {
		cfg.Count = 10 * time.Second
	}
}

// limit is how many descriptors there may be now.
func (b *Bounds) limit() (int, error) {
	soft, _, err := b.sources.limit()
	if err != nil {
		return 0, err
	}
	limit := int(min(soft, math.MaxInt32))
	if b.cfg.Limit > 0 {
		limit = min(limit, b.cfg.Limit)
	}
	return limit, nil
}

// resize takes in another limit.
func (b *Bounds) resize(limit int) {
	if limit == b.fds.limit {
		return
	}
	reserve := b.cfg.Reserve
	if reserve <= 0 {
		reserve = reserveOf(limit)
	}
	b.fds.resize(limit, reserve, b.cfg.Borrow, b.cfg.Shares)
}

// Close ends the watching. What is taken may still be given back, and taken: by
// the state that was the last.
func (b *Bounds) Close() error {
	b.once.Do(func() { close(b.quit) })
	<-b.ended
	return nil
}

// run is the goroutine of the Bounds. It ends with Close.
func (b *Bounds) run() {
	defer close(b.ended)
	tick := time.NewTicker(every)
	defer tick.Stop()
	b.watch(b.sources.now())
	for {
		select {
		case <-b.quit:
			return
		case <-tick.C:
			b.watch(b.sources.now())
		case <-b.wake:
		}
		b.tell()
	}
}

// Watch adds a load that load knows: what is in use of what there is, 1 when
// nothing is left. It is asked four times a second on the goroutine of the
// Bounds, which must not wait in it, until stop is called; it may be under way
// then. Of several loads of one resource the highest counts. Errors: ErrGauges.
//
// A load may be high for a moment without harm, for whoever has it refuses by
// himself when nothing is left. So Config.Loads takes its time.
func (b *Bounds) Watch(name Resource, load func() float64) (stop func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.gauges) >= maxGauges {
		return nil, fmt.Errorf("%w: %d", ErrGauges, maxGauges)
	}
	g := &gauge{of: b.resource(name), load: load}
	if g.of == nil {
		return nil, fmt.Errorf("%w: of more than %d resources", ErrGauges, maxGauges)
	}
	b.gauges = append(b.gauges[:len(b.gauges):len(b.gauges)], g) // the goroutine may be at the old ones
	return func() { b.unwatch(g) }, nil
}

func (b *Bounds) unwatch(g *gauge) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var rest []*gauge
	for _, other := range b.gauges {
		if other != g {
			rest = append(rest, other)
		}
	}
	b.gauges = rest
}

// resource finds the one of that name, or makes it; nil when there are too many.
// mu is held.
func (b *Bounds) resource(name Resource) *resource {
	for _, r := range b.resources {
		if r.name == name {
			return r
		}
	}
	if len(b.resources) >= maxGauges {
		return nil
	}
	r := &resource{name: name, machine: newMachine(b.cfg.Loads)}
	b.resources = append(b.resources, r)
	return r
}
