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
	"sync"
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

	mu       sync.Mutex
	phase    State // Starting, Serving, Draining or Left
	reason   string
	watchers map[*func()]struct{}
	looking  chan struct{} // closed to end the goroutine that looks; nil: there is none

	telling sync.Mutex // one after the other
	told    State
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

// Serve says that all has been started. After Drain and Leave it does nothing.
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
func (h *Health) Watch(changed func()) (stop func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.watchers) >= h.cfg.Watchers {
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

// tell calls the watchers if there is something new.
func (h *Health) tell() {
	h.telling.Lock()
	defer h.telling.Unlock()
	now := h.Status().State
	if now == h.told {
		return
	}
	h.told = now
	h.mu.Lock()
	all := make([]*func(), 0, len(h.watchers))
	for w := range h.watchers {
		all = append(all, w)
	}
	h.mu.Unlock()
	for _, w := range all {
		(*w)()
	}
}
