package sched

import (
	"context"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/weir-go/weir/timer"
)

// Config says how a Scheduler is made. The zero value works.
type Config struct {
	// Clock is what time is told by. Nil: one made of Timer, whose Pool and
	// Stepped are not used.
	Clock Clock
	Timer timer.ClockConfig

	// Apart is the least time between two wake-ups of the clock: what is due in
	// between is late by no more than that, and decided together. Zero: 1 ms,
	// negative: none, for few jobs that are to be as punctual as the clock.
	Apart time.Duration

	// Pool runs the bodies. Nil: one of the Scheduler's own. Workers is how many
	// run at once; zero: what the Pool says (Workers() int), or else 256.
	Pool    Pool
	Workers int

	// Replaced is how many orphans may have their place taken by another
	// (ReplaceSlot). Zero: 16, negative: none.
	Replaced int

	Tasks   int // that may be there at once. Zero: 2 million; at most 2^30
	Waiting int // runs that may wait in a queue that says nothing else. Zero: 65,536
	Ledger  int // lines that are kept. Zero: 10,000
	Series  int // that are measured, at most. Zero: 1,000

	Queues    []Queue
	Resources []Resource

	State State // for jobs that are Durable
	Guard Guard // for jobs that are Guarded

	// Line is told every line of the ledger, on the goroutine that wrote it,
	// which goes on with its work afterwards: workers, or the clock's. Lines of
	// several goroutines may come in another order than they were written. Its
	// panics are counted, and go no further.
	Line func(Line)
}

// A Scheduler lets jobs run when they are due. Its methods may be called from any
// goroutine. Who made it closes it.
type Scheduler struct {
	cfg   Config
	clock Clock
	pool  Pool
	own   *antsPool // nil if the pool is another's
	loop  func()    // work, made once
	begun timer.Time

	// Guarded by mu, which is held for lines of code, never for another's.
	mu     sync.Mutex
	wheel  wheel
	due    []due
	more   []due // of what was decided, for the next round
	kick   timer.Timer
	asleep timer.Time // when the clock was told to wake
	woke   timer.Time // when it did
	bases  bases
	moved  time.Duration // the wall clock, since stepped was called last

	tasks     int
	ids       uint64
	names     map[string]*Task
	spare     []*Task // of In
	groups    map[<-chan struct{}]*group
	endless   *group // of them, that of parents that never end
	plain     *spec  // of one-shots that say nothing
	queues    map[string]*queue
	resources map[string]*gate
	series    map[[2]string]*series
	ledger    ledger
	told      []Line // for Config.Line
	telling   int    // goroutines that are at it
	count     Stats

	ready   [levels]list // runs that are new
	again   [levels]list // runs that a gate has let go on
	readied int          // in both
	turn    uint64

	others map[*run]struct{} // runs that wait for those of other replicas

	left   []claimed // of runs that were given up; each worker ends them first
	ending int       // of them, being ended

	workers   int // sent for, or at work
	callers   int // of them, callers of Submit and Run
	executing int // bodies, with orphans
	replaced  int // orphans whose place was taken
	open      int // occasions that have no line yet
	orphans   map[*run]struct{}

	dispatching bool // somebody decides what is due
	recall      bool // and is to look again
	coming      bool // a worker is on its way
	paused      bool
	closing     bool // nothing new begins to be due
	cancelled   bool // and what is under way is told to end

	watchers []watcher
	ended    chan struct{} // Close is through
	once     sync.Once
	err      error // of Close
}

// New makes a Scheduler and starts its clock.
func New(cfg Config) (*Scheduler, error) {
	s := &Scheduler{cfg: cfg, clock: cfg.Clock, pool: cfg.Pool, asleep: timer.Never,
		names: make(map[string]*Task), groups: make(map[<-chan struct{}]*group),
		queues: make(map[string]*queue), resources: make(map[string]*gate),
		series: make(map[[2]string]*series), orphans: make(map[*run]struct{}), others: make(map[*run]struct{}), ended: make(chan struct{})}
	s.endless = new(group)
	s.groups[nil] = s.endless
	s.loop = s.work
	s.kick.Init((*kicker)(s))
	s.cfg.settle()
	s.ledger.most = s.cfg.Ledger
	if err := s.furnish(); err != nil {
		return nil, err
	}
	if s.clock == nil {
		s.clock = newRealClock(cfg.Timer, s.cfg.Apart)
	}
	if s.pool == nil {
		p, err := newPool()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConfig, err)
		}
		s.own, s.pool = p, p
	}
	s.mu.Lock() // the clock may call at once
	err := s.clock.Start(s.wake, s.stepped)
	if err == nil {
		s.woke = s.clock.Now().Add(-s.cfg.Apart)
		s.measure(s.clock.Now())
		s.bases.steady, s.moved = s.bases.wall, 0
	}
	s.mu.Unlock()
	if err != nil {
		if s.own != nil {
			s.own.Close()
		}
		return nil, err
	}
	return s, nil
}

// settle fills in what was left open.
func (cfg *Config) settle() {
	if w, ok := cfg.Pool.(interface{ Workers() int }); ok && cfg.Workers <= 0 {
		cfg.Workers = w.Workers()
	}
	if cfg.Workers <= 0 {
		cfg.Workers = 256
	}
	cfg.Apart = max(or(cfg.Apart, time.Millisecond), 0)
	cfg.Replaced = max(or(cfg.Replaced, 16), 0)
	cfg.Tasks = min(max(or(cfg.Tasks, 2_000_000), 1), 1<<30)
	cfg.Waiting = max(or(cfg.Waiting, 1<<16), 1)
	cfg.Ledger = max(or(cfg.Ledger, 10_000), 1)
	cfg.Series = max(or(cfg.Series, 1000), 1)
}

// furnish makes queues and resources.
func (s *Scheduler) furnish() error {
	for _, q := range s.cfg.Queues {
		if _, err := s.newQueue(q); err != nil {
			return err
		}
	}
	if s.queues[""] == nil {
		if _, err := s.newQueue(Queue{}); err != nil {
			return err
		}
	}
	for _, r := range s.cfg.Resources {
		if r.N < 1 || r.Name == "" || !utf8.ValidString(r.Name) || s.resources[r.Name] != nil {
			return config("resource %q: %d of them, or twice, or not UTF-8", r.Name, r.N)
		}
		s.resources[r.Name] = s.newGate(r.Name, r.N)
	}
	plain, err := s.specify(Job{Do: func(context.Context, Fire) error { return nil }})
	s.plain = plain
	return err
}

// specify makes a spec of a Job, without its body.
func (s *Scheduler) specify(j Job) (*spec, error) {
	if err := j.settle(); err != nil {
		return nil, err
	}
	if j.Durable && s.cfg.State == nil || j.Guarded && s.cfg.Guard == nil {
		return nil, config("job %q: durable without a State, or guarded without a Guard", j.Name)
	}
	if j.Trigger != nil {
		if err := Check(j.Trigger); err != nil {
			return nil, err
		}
	}
	x := &spec{Job: j, steady: j.Trigger == nil || steady(j.Trigger), period: grid(j.Trigger), allowed: 1,
		level: int(j.Priority - Low), asks: j.Durable || j.Guarded, bounded: j.Timeout > 0 || j.Deadline > 0}
	x.Do = nil // the task has it; a line of the ledger keeps the spec, and not what a body holds
	if j.Overlap.Policy == Allow {
		x.allowed = j.Overlap.Most
	}
	if x.queue = s.queues[j.Queue]; x.queue == nil {
		return nil, config("job %q: no queue %q", j.Name, j.Queue)
	}
	x.gate[0] = claim{x.queue.gate, 1}
	x.claims = x.gate[:] // and more of them elsewhere
	for _, n := range j.Needs {
		g := s.resources[n.Resource]
		if g == nil || n.N < 0 || n.N > g.total {
			return nil, config("job %q: there are no %d of resource %q", j.Name, n.N, n.Resource)
		}
		for _, c := range x.claims {
			if c.gate == g {
				return nil, config("job %q needs resource %q twice", j.Name, n.Resource)
			}
		}
		x.claims = append(x.claims, claim{g, or(n.N, 1)})
	}
	s.mu.Lock()
	x.series = s.seriesOf(x.Type, x.Queue)
	s.mu.Unlock()
	return x, nil
}

// Add has the job run when its trigger says, until the context ends, or Cancel,
// or Close. The context is the parent of those of its runs. For a job that is
// Durable it reads the State, and writes to it that the job is there; a mark there of
// three hours and more ahead comes from a clock that was wrong, and what is due before
// it is skipped, as Stale, until State.Forget. Errors: ErrConfig, ErrTrigger, ErrName, ErrFull,
// ErrClosed, the context's, the State's.
func (s *Scheduler) Add(ctx context.Context, j Job) (*Task, error) {
	x, err := s.specify(j)
	if err != nil {
		return nil, err
	}
	t := s.newRegular(ctx, x, j.Do)
	prev := s.present(x.steady)
	var cut Mark
	if j.Durable {
		if prev, cut, err = s.far(ctx, x, prev); err != nil {
			return nil, err
		}
	}
	next := following(x.Trigger, prev)
	if x.Trigger != nil && next == 0 && cut.Instant == 0 {
		return nil, wrong("it never fires")
	}
	s.mu.Lock()
	if err := s.enroll(t); err != nil {
		s.release()
		return nil, err
	}
	now := s.clock.Now()
	s.plan(t, next, 0, now)
	if cut.Instant != 0 {
		s.resume(t, cut, now)
	}
	s.release()
	return t, nil
}

// far is how far a durable job came, and its run that was cut off, if there is one.
// A job that is new is written down at the present: what is due before its first run
// begins, and finds nobody there, is missed and not forgotten.
func (s *Scheduler) far(ctx context.Context, x *spec, present Instant) (prev Instant, cut Mark, err error) {
	mark, err := s.cfg.State.Load(ctx, x.Name)
	if err == nil && mark.Instant == 0 && following(x.Trigger, present) != 0 {
		mark, err = s.cfg.State.Note(ctx, x.Name, present)
	}
	switch {
	case err != nil || mark.Instant == 0:
		return present, cut, err
	case !mark.Ended:
		cut = mark
	}
	if mark.Instant >= present.add(tooFar) { // of a clock that was wrong: its instants come, and are stale
		return present, cut, nil
	}
	return mark.Instant, cut, nil
}

// resume does with a run that was cut off what its job's Crash says. Locked.
func (s *Scheduler) resume(t *Task, cut Mark, now timer.Time) {
	due := s.bases.of(t.spec.steady).mono(cut.Instant)
	o := occasion{instant: cut.Instant, first: cut.Instant, due: due, decided: now, again: true}
	if t.spec.Crash == RunAgain {
		if t.spec.Overlap.Policy == SkipRunning {
			t.flags |= catching // or the one run for all that was missed would be skipped for this one
		}
		_ = s.fire(t, o, now)
		return
	}
	s.open++
	s.lost(t, o, Failed, CutOff, now)
	s.settled(t, now)
}

// newTask makes a task that is nowhere yet.
func (s *Scheduler) newTask(ctx context.Context, x *spec, do Body) *Task {
	t := &Task{sched: s, spec: x, do: do, parent: ctx}
	t.timer.Init((*taskTimer)(t))
	return t
}

// newRegular makes a task that is going to fire more than once.
func (s *Scheduler) newRegular(ctx context.Context, x *spec, do Body) *Task {
	r := &regular{Task: Task{sched: s, spec: x, do: do, parent: ctx}}
	r.timer.Init((*taskTimer)(&r.Task))
	r.run.init()
	r.live.spare = &r.run
	r.Task.live = &r.live
	return &r.Task
}

// enroll takes a task in. Locked.
func (s *Scheduler) enroll(t *Task) error {
	if s.closing {
		return ErrClosed
	}
	if t.parent.Err() != nil {
		return context.Cause(t.parent)
	}
	if s.tasks >= s.cfg.Tasks {
		s.count.Refused++
		return fmt.Errorf("%w: %d tasks", ErrFull, s.tasks)
	}
	if name := t.spec.Name; name != "" {
		if old := s.names[name]; old != nil && old.parent.Err() != nil { // its group is about to be told
			s.drop(old, ParentEnded, context.Cause(old.parent))
		}
		if s.names[name] != nil {
			return fmt.Errorf("%w: %q", ErrName, name)
		}
		s.names[name] = t
	}
	s.tasks++
	s.ids++
	t.id, t.heap = s.ids, heapOf(s.ids)
	s.join(t)
	return nil
}

// present is the instant of now.
func (s *Scheduler) present(steady bool) Instant {
	now := s.clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.measure(now)
	return s.bases.of(steady).instant(now)
}
