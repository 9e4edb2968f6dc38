package conn

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-go/weir/poller"
	"github.com/weir-go/weir/timer"
)

// loop is one goroutine around one poller. It owns its connections, its timers
// and one buffer that all of its connections read into.
type loop struct {
	rt    *Runtime
	index int
	trace *Trace // the runtime's, nearer

	// Owned by the loop's goroutine.
	poller  *poller.Poller
	slots   slots
	heap    timer.Heap
	now     timer.Time // of this turn
	events  []poller.Event
	filled  int     // of events, how many this turn has
	next    int     // of events, the first not yet handled
	in      []byte  // what fill reads into
	view    []byte  // unconsumed part of in, while the handler of viewer looks at it
	viewer  *Conn   // whose callback runs now, and whose bytes view are
	greedy  []*Conn // had their share of a turn and have more to read
	turn2   []*Conn // greedy of the turn before: theirs now
	batch   inbox   // what is being worked off
	ending  bool    // Close: the loop leaves after this turn
	drain   bool    // Shutdown: connections end as they become quiet
	rest    rest    // how it sleeps
	locked  bool    // the goroutine holds its thread
	inline  int     // turns in a row without a hand-off
	handed  int     // goroutines readied in this turn
	late    int     // of them, those after it has yielded: they are the next turn's
	count   counts  // of this turn
	nobody  Conn    // stands in for a connection while a posted function runs
	turnSeq atomic.Uint64

	// current is the token of the connection whose callback runs now, 0 when
	// none does; a token, because storing a pointer costs more. Writers of other
	// goroutines read it under their connection's mu, the watchdog any time.
	current atomic.Uint64
	stage   []byte // what that callback has written, guarded by its mu

	conns  atomic.Int64
	asleep atomic.Bool // in, or about to enter, a wait that may last
	gid    atomic.Pointer[string]

	// mu guards what others leave for the loop.
	mu    sync.Mutex
	inbox inbox
	post  atomic.Int64 // things in inbox, to look without the lock
	dead  bool         // the loop has ended and takes nothing

	published published
	tallies   [tallies]tally
}

func newLoop(rt *Runtime, index int) (*loop, error) {
	p, err := poller.Open()
	if err != nil {
		return nil, err
	}
	l := &loop{
		rt: rt, index: index, poller: p, trace: rt.cfg.Trace,
		events: make([]poller.Event, rt.cfg.Events),
		in:     make([]byte, rt.cfg.ReadSize),
		stage:  make([]byte, 0, stageSize),
		now:    timer.Now(),
	}
	l.rest.begin(p, l.now, rt.cfg.KeepThread)
	l.nobody.loop, l.nobody.fd, l.nobody.token = l, -1, nobodyToken
	return l, nil
}

// run is the loop's goroutine. A callback that calls runtime.Goexit would take
// the goroutine with it; another one carries on then, with the rest of the turn
// first: its edges come only once.
func (l *loop) run() {
	finished := false
	defer func() {
		if !finished {
			go l.run()
			return
		}
		l.rt.loops.Done()
	}()
	l.locked = false
	id := goroutineID()
	l.gid.Store(&id)
	l.carryOn()
	for !l.ending {
		l.turn(l.patience())
	}
	l.finish()
	l.publishLast()
	finished = true
}

// turn is one pass of the loop: sleep, then readiness, deadlines, posted work
// and, last, one flush for every connection written to with Append.
func (l *loop) turn(timeout time.Duration) {
	if l.rest.parked && (timeout < 0 || timeout > poller.ParkLeast) {
		l.count.parks++
	}
	n := l.sleep(timeout)
	l.now = timer.Now()
	l.rest.woke(l.now, n > 0 || l.post.Load() > 0)
	l.filled, l.next, l.handed, l.late = n, 0, l.late, 0
	l.greedy, l.turn2 = l.turn2[:0], l.greedy
	l.settleRest(l.pass(n))
	l.manners()
}

// pass is what a turn does, with n events, and counts; it began at l.now. It returns
// when it ended.
func (l *loop) pass(n int) (ended timer.Time) {
	l.turnSeq.Add(1)
	for !l.work() {
	}
	ended = timer.Now()
	took := ended.Sub(l.now)
	if most := l.rt.cfg.SlowCallback; took > most && most > 0 {
		l.slowTurn()
	}
	l.publish(n, took)
	if t := l.trace; t != nil && t.Turn != nil {
		t.Turn(l.index, n, took)
	}
	return ended
}

// sleep waits until something is ready. A loop says that it sleeps before it
// looks a last time for work others left: whoever leaves some after that look
// sees that it sleeps, and wakes it.
func (l *loop) sleep(timeout time.Duration) int {
	if timeout != 0 {
		l.asleep.Store(true)
		if l.post.Load() > 0 {
			timeout = 0
		}
	}
	n, err := l.poller.Wait(l.events, timeout)
	if timeout != 0 || l.asleep.Load() {
		l.asleep.Store(false)
	}
	if err != nil {
		// Only a poller closed under us fails; without one there is no loop.
		panic(fmt.Sprintf("conn: loop %d: %v", l.index, err))
	}
	return n
}

// patience is how long the next turn may sleep.
func (l *loop) patience() time.Duration {
	if len(l.greedy) > 0 || l.handed > 0 && !l.parksNext() || l.post.Load() > 0 {
		return 0
	}
	when, ok := l.heap.Next()
	if !ok {
		return -1
	}
	return max(when.Sub(timer.Now()), 0)
}

// work does everything a turn has to do. A callback that panics ends it early;
// it is called again then and goes on behind the one that did. true when the
// turn is done.
func (l *loop) work() (done bool) {
	defer l.rescue()
	for l.next < l.filled {
		ev := &l.events[l.next]
		l.next++
		l.dispatch(ev)
	}
	for len(l.turn2) > 0 {
		c := pop(&l.turn2)
		c.flags &^= waiting
		if l.drain {
			l.lastLook(c)
		} else {
			l.fill(c)
		}
	}
	l.count.timers += uint64(l.heap.Advance(l.now))
	l.takeInbox()
	l.workInbox()
	return true
}

// dispatch finds out whose event it is. The source may have left since the
// kernel made it: then it is nobody's.
func (l *loop) dispatch(ev *poller.Event) {
	if t := l.trace; t != nil && t.Event != nil {
		t.Event(l.index, l.id(ev.Token), ev.Ready)
	}
	src := l.slots.find(ev.Token)
	if src == nil {
		l.count.stale++
		return
	}
	src.ready(l, ev.Ready)
}

// enter and leave stand around every callback of c. Between them c's small
// writes gather in the stage.
func (l *loop) enter(c *Conn) {
	l.viewer = c
	l.current.Store(uint64(c.token))
}

// exit is leave for a callback that is no connection's.
func (l *loop) exit() {
	l.viewer = nil
	l.current.Store(0)
}

func (l *loop) leave(c *Conn) {
	rest := l.view
	l.view, l.viewer = nil, nil
	c.mu.Lock()
	l.current.Store(0)
	if len(l.stage) > 0 {
		c.flushStage(true)
	}
	c.mu.Unlock()
	if len(rest) > 0 {
		l.keep(c, rest)
	}
	if c.flags&(endAfter|closing) != 0 || l.drain {
		l.settle(c)
	}
}

// inside reports whether a callback of c runs now. c.mu is held.
func (c *Conn) inside() bool { return c.loop.current.Load() == uint64(c.token) }

// nobodyToken stands for a callback that is no connection's. Generations begin
// at 1, so that no slot has it.
const nobodyToken = 1

// again puts c on the list of those that go on in the next turn.
func (l *loop) again(c *Conn) {
	if c.flags&(waiting|gone) == 0 {
		c.flags |= waiting
		l.greedy = append(l.greedy, c)
	}
}

// rescue keeps a panic of a callback to the connection that it was for.
func (l *loop) rescue() {
	if v := recover(); v != nil {
		defer l.rescue() // Closed, which is called now, may panic too
		l.panicked(v, debug.Stack())
	}
}

var errGoexit = errors.New("conn: a callback called runtime.Goexit")

// carryOn does the same for a callback that ended the loop's goroutine, and
// then what that one's turn had left to do. At the start there is nothing.
func (l *loop) carryOn() {
	l.rescueExit()
	for !l.work() {
	}
}

func (l *loop) rescueExit() {
	defer l.rescue()
	if l.viewer != nil {
		l.panicked(errGoexit, nil)
	}
}

func (l *loop) panicked(v any, stack []byte) {
	c := l.viewer
	p := &PanicError{Value: v, Stack: stack}
	l.viewer, l.view = nil, nil
	l.count.panics++
	if c != nil {
		c.mu.Lock()
		l.current.Store(0)
		l.stage = l.stage[:0]
		c.mu.Unlock()
	}
	if c == &l.nobody {
		c = nil
	}
	if t := l.rt.cfg.Trace; t != nil && t.Panic != nil {
		t.Panic(c, p)
	}
	if c != nil && c.flags&gone == 0 {
		c.fail(p)
	}
}

// manners is what the loop owes the scheduler. Goroutines that it readied stand
// in its own P's queue: they run now, before it blocks, instead of waiting
// until the P is taken from it. A loop whose handlers do everything inline
// holds its thread, which keeps the scheduler's monitor from interrupting it;
// one that hands work off must not, for a locked thread makes each switch
// between it and other goroutines cost two futexes. One that parks lets them run
// by that, and has no thread to hold.
func (l *loop) manners() {
	if l.inline++; l.handed > 0 {
		l.inline = 0
	}
	if holds := l.inline >= inlineTurns && !l.rest.parked; holds != l.locked {
		l.hold(holds)
	}
	if l.handed > 0 && !l.parksNext() {
		l.yield()
		l.answer()
	}
}

// hold has the goroutine keep its thread, or let it go.
func (l *loop) hold(on bool) {
	if l.locked = on; on {
		runtime.LockOSThread()
	} else {
		runtime.UnlockOSThread()
	}
}

// inlineTurns is how many turns without a hand-off make a loop hold its thread.
const inlineTurns = 256

func (l *loop) id(tok poller.Token) uint64 {
	return uint64(l.index)<<56 | uint64(tok.Gen()&0xffffff)<<32 | uint64(tok.Slot())
}
