// Package health knows how a process is, in one word, for those who send it
// requests: package healthhttp tells probes and balancers, package healthgrpc gRPC
// clients.
//
//	                  Serve                        Drain(reason)
//	        Starting ────────► Serving ──┬────────────────────────► Draining
//	                             │ ▲     │ Leave
//	       Bounds: Shed ─────────┤ │     └────────────────────────► Left
//	       Critical, Hard ───────┴─┘
//	        Shedding, Full
//
//	             new requests   new streams   new connections   is ready
//	Starting     no                                             no
//	Serving      yes            yes           yes               yes
//	Shedding     yes            no            yes               yes
//	Full         yes            no            they wait         no
//	Draining     yes            yes           yes, for now      no
//	Left         a successor serves at the same address         yes
//
// Shedding is ready: whoever is sent away from here goes to others that are short
// themselves, perhaps, and takes the requests along that would have been answered.
// Left is ready because who asks means the address: package lifecycle's Kit calls
// Leave when a successor has the sockets, and Drain when none has.
package health

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-go/weir/bounds"
)

// A State is how a process is. The zero value is Starting.
type State uint8

const (
	Starting State = iota
	Serving
	Shedding // without new streams: bounds.Shed
	Full     // without new connections: bounds.Critical and Hard
	Draining // it will end
	Left     // it will end, and another one serves in its place
)

// States is how many there are.
const States = int(Left) + 1

// String returns the name in lower case.
func (s State) String() string {
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

var names = [...]string{"starting", "serving", "shedding", "full", "draining", "left"}

// Ready reports whether the process, or its successor, should be sent requests.
func (s State) Ready() bool { return s == Serving || s == Shedding || s == Left }

// Status is a State with what there is to say about it.
type Status struct {
	State  State
	Reason string // in a few words, "" when it is serving

	// RetryAfter is when asking again makes sense. 0: whenever.
	RetryAfter time.Duration
}

// Config says what a Health looks at. The zero value works.
type Config struct {
	// Verdict is asked for the state of what can run out: the method of the
	// process's *bounds.Bounds. It must not block. nil: nothing does.
	Verdict func() bounds.Verdict

	// Alive is asked whether the process can still do what it is for; an error
	// says that it should be killed and started again, which a drain and a lack
	// of something are no reasons for. nil: who can answer is alive.
	Alive func() error

	// Watchers is how many there may be at once. 0: 64.
	Watchers int

	// Look is how often Verdict is asked for watchers' sake; without any it is
	// asked by Status alone. 0: 250 ms.
	Look time.Duration
}

// ErrWatchers is what Watch answers when there are too many.
var ErrWatchers = errors.New("health: too many watchers")

// Health is the health of a process. Its methods may be called from any goroutine.
type Health struct {
	cfg Config

	seen    atomic.Uint32 // the State that Status has returned last
	entered [States]atomic.Uint64

	mu       sync.Mutex
	phase    State // Starting, Serving, Draining or Left
	reason   string
	watchers map[*func()]struct{}
	refused  uint64
	looking  chan struct{} // closed to end the goroutine that looks; nil: there is none

	// Who finds telling set leaves it to that one to tell once more.
	telling, more bool
	told          State // of whoever has set telling
}

// Stats counts what has happened. What comes and goes while nobody asks for the
// Status, nor watches, is in none.
type Stats struct {
	Watchers int            // now
	Refused  uint64         // times that Watch answered ErrWatchers
	Entered  [States]uint64 // times that the Status was found in a State and had been in another one before
}

// Stats returns the counts.
func (h *Health) Stats() Stats {
	h.mu.Lock()
	s := Stats{Watchers: len(h.watchers), Refused: h.refused}
	h.mu.Unlock()
	for i := range s.Entered {
		s.Entered[i] = h.entered[i].Load()
	}
	return s
}

// New makes a Health that is Starting.
func New(cfg Config) *Health {
	if cfg.Watchers <= 0 {
		cfg.Watchers = 64
	}
	if cfg.Look <= 0 {
		cfg.Look = 250 * time.Millisecond
	}
	return &Health{cfg: cfg, watchers: make(map[*func()]struct{})}
}

// Serve says that all has been started. After Drain and Leave it does nothing. It
// returns, as these do, when watchers have been told, unless they are being told
// already: see Watch.
func (h *Health) Serve() { h.move(Serving, "") }

// Drain says that the process will end, and why. After Leave it does nothing.
func (h *Health) Drain(reason string) { h.move(Draining, reason) }

// Leave says that the process will end and that another one serves at its address.
// After Drain it does nothing.
func (h *Health) Leave() { h.move(Left, "a successor serves") }

func (h *Health) move(to State, reason string) {
	h.mu.Lock()
	if h.phase < Draining {
		h.phase, h.reason = to, reason
	}
	h.mu.Unlock()
	h.tell()
}

// again is when to ask a process that starts, or ends, again.
const again = 5 * time.Second

// Status returns how the process is now.
func (h *Health) Status() Status {
	s := h.status()
	if State(h.seen.Swap(uint32(s.State))) != s.State {
		h.entered[s.State].Add(1)
	}
	return s
}

func (h *Health) status() Status {
	h.mu.Lock()
	s := Status{State: h.phase, Reason: h.reason}
	h.mu.Unlock()
	switch s.State {
	case Starting:
		s.Reason, s.RetryAfter = "not all has been started", again
	case Draining:
		s.RetryAfter = again
	case Serving:
		if h.cfg.Verdict == nil {
			break
		}
		v := h.cfg.Verdict()
		if v.State == bounds.Normal {
			break
		}
		s = Status{State: Full, RetryAfter: v.Back,
			Reason: fmt.Sprintf("%s: %s at %.0f %%", v.State, v.Resource, 100*v.Load)}
		if v.State == bounds.Shed {
			s.State = Shedding
		}
	}
	return s
}

// Alive returns what Config.Alive does.
func (h *Health) Alive() error {
	if h.cfg.Alive == nil {
		return nil
	}
	return h.cfg.Alive()
}

// Watch has changed called after the State has changed, until stop is called, which
// may be while it is under way. It is called on goroutines of others, one call at a
// time for all watchers: it must not block. ErrWatchers when there are too many.
//
// All of Health's methods may be called from within it. What a call from within
// changes (Serve, Drain, Leave) is so when that returns, and Status says it, also to
// the watchers whose turn has not come yet; when all have had it, all are called once
// more. So a watcher sees states in the order in which they came, and each is called
// after the last; it may see one twice, and one that did not last it does not see.
// The same holds for what others change meanwhile: their calls do not wait for
// watchers that are being told.
func (h *Health) Watch(changed func()) (stop func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.watchers) >= h.cfg.Watchers {
		h.refused++
		return nil, ErrWatchers
	}
	h.watchers[&changed] = struct{}{}
	if h.looking == nil && h.cfg.Verdict != nil {
		h.looking = make(chan struct{})
		go h.look(h.looking)
	}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.watchers, &changed)
		if len(h.watchers) == 0 && h.looking != nil {
			close(h.looking)
			h.looking = nil
		}
	}, nil
}

// look asks for watchers' sake, until the last has gone.
func (h *Health) look(end chan struct{}) {
	t := time.NewTicker(h.cfg.Look)
	defer t.Stop()
	for {
		h.tell()
		select {
		case <-t.C:
		case <-end:
			return
		}
	}
}

// tell calls the watchers if there is something new, or leaves it to who does so
// already, who may be the caller's caller.
func (h *Health) tell() {
	h.mu.Lock()
	h.more = h.telling
	h.telling = true
	busy := h.more
	h.mu.Unlock()
	if busy {
		return
	}
	ended := false
	defer func() {
		if !ended { // a watcher has panicked: the next one to tell begins anew
			h.mu.Lock()
			h.telling = false
			h.mu.Unlock()
		}
	}()
	for more := true; more; more = h.next() {
		if now := h.Status().State; now != h.told {
			h.told = now
			h.tellAll()
		}
	}
	ended = true
}

// next reports whether there is to be told more, and ends the telling otherwise.
func (h *Health) next() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	more := h.more
	h.telling, h.more = more, false
	return more
}

// tellAll calls the watchers there are, but for those whose stop was called since.
func (h *Health) tellAll() {
	h.mu.Lock()
	all := slices.Collect(maps.Keys(h.watchers))
	h.mu.Unlock()
	for _, w := range all {
		h.mu.Lock()
		_, there := h.watchers[w]
		h.mu.Unlock()
		if there {
			(*w)()
		}
	}
}
