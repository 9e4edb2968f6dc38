package poller

import (
	"errors"
	"sync/atomic"
	"time"
)

// A backend is one file of system calls (epoll.go, kqueue.go, other.go). All
// policy lives here: closing, coalescing of wake-ups, retries, the rest of an
// interrupted timeout. A backend must define
//
//	type kernel struct
//	    The descriptors and scratch memory of one Poller. The zero value is
//	    not open.
//
//	func (k *kernel) open() error
//	    Make the interest list and a wake source registered in it. On error
//	    nothing stays open.
//
//	func (k *kernel) close()
//	    Give every descriptor back. Called once, when nobody is inside any
//	    other method and nobody will enter one.
//
//	func (k *kernel) add(fd int, tok Token) error
//	    Register both directions, edge-triggered, all or nothing. From any
//	    goroutine, also while another one is in wait.
//
//	func (k *kernel) remove(fd int) error
//	    Undo add. From any goroutine.
//
//	func (k *kernel) wait(evs []Event, timeout time.Duration) (n int, woken bool, err error)
//	    Ask the kernel once: <0 for ever, 0 without blocking, >0 bounded. Fill
//	    evs[:n] and say whether the wake source was among the events. evs is
//	    never empty. An interrupted or shortened wait returns 0 events, with
//	    errInterrupted or nil; the caller waits the rest. One goroutine at a
//	    time.
//
//	func (k *kernel) wake() error
//	    Make the wait in progress, or the next one, report woken. From any
//	    goroutine. A ring may be called again only after wait has reported
//	    the one before (close is the exception, it rings once more).
//
//	func (k *kernel) precise()
//	    See Precise. Before the first wait.

var (
	// ErrClosed is returned by every method of a Poller after Close, and by
	// a Wait that was in progress when it was closed.
	ErrClosed = errors.New("poller: closed")

	// ErrReserved is returned by Add for ^Token(0), which marks the wake
	// source in the kernel's list.
	ErrReserved = errors.New("poller: token is reserved for the wake source")

	// ErrBusy is returned by Wait while another goroutine is in Wait.
	ErrBusy = errors.New("poller: another goroutine is in Wait")

	// ErrNoRoom is returned by Wait when evs is empty: an edge has to be put
	// somewhere or it is lost.
	ErrNoRoom = errors.New("poller: no room for events")

	// errInterrupted is how a backend reports EINTR.
	errInterrupted = errors.New("poller: interrupted")
)

// Stats counts wake-ups since Open.
type Stats struct {
	// Wakes is the number of times that a Wait found itself woken; each of
	// them cost one system call on the side of the caller of Wake.
	Wakes uint64

	// WakesCoalesced is the number of calls of Wake that found another one
	// pending and cost no system call. Both are counted when the Wait returns.
	WakesCoalesced uint64
}

// Poller watches descriptors. Wait belongs to one goroutine at a time, all
// other methods may be called from any goroutine at any time. The zero value
// is not usable, see Open. A Poller must not be copied.
type Poller struct {
	// Shared. Who is inside, as drawn at enter; 0 = open and nobody.
	state atomic.Uint32

	// Owned by the goroutine in Wait, except for the descriptors, which
	// stay the same from Open until the last one is out after Close.
	kernel kernel

	// The two halves on cache lines of their own: a Wake that is coalesced
	// must not slow down the waiter.
	_ [64]byte

	// Shared. Calls of Wake since the waiter last heard one. The call that
	// makes it 1 rings, all others lean on it.
	asked atomic.Uint64

	wakes     atomic.Uint64 // written by the waiter
	coalesced atomic.Uint64 // written by the waiter
}

// Open makes a Poller: two or three descriptors, all close-on-exec, no
// goroutine. Where there is no backend the error is errors.ErrUnsupported.
func Open() (*Poller, error) {
	p := new(Poller)
	if err := p.kernel.open(); err != nil {
		return nil, err
	}
	return p, nil
}

// Add registers fd for both directions, edge-triggered, until it is closed or
// removed; there is nothing to modify later. What is already true is the first
// edge: a fresh socket reports Writable at once. fd must be non-blocking and
// stays the caller's. Start connect(2) before Add: Linux reports a socket that
// was never connected as hung up.
//
// What the caller wrote to memory before Add is visible to the goroutine that
// gets the events.
//
// Errors: ErrClosed, ErrReserved, or the kernel's: a descriptor that is
// registered already (EEXIST, where the kernel notices) or that cannot be
// watched (EPERM for a plain file on Linux).
func (p *Poller) Add(fd int, tok Token) error {
	if tok == wakeToken {
		return ErrReserved
	}
	if !p.enter() {
		return ErrClosed
	}
	defer p.leave()
	return p.kernel.add(fd, tok)
}

// Remove ends the registration of fd. It is not needed before close(2) of a
// descriptor that nobody else holds: the kernel forgets those. It is needed
// when the open file lives on, handed out, dup'ed or inherited by a child. A
// Wait in progress may still return an event that it had already collected.
func (p *Poller) Remove(fd int) error {
	if !p.enter() {
		return ErrClosed
	}
	defer p.leave()
	return p.kernel.remove(fd)
}

// Wait fills evs with the descriptors that became ready and returns how many.
// timeout < 0 waits for ever, 0 only looks and never blocks, > 0 waits at least
// that long unless something happens. n is 0 when the time is over or a Wake
// came alone; after every Wait, look at whatever the callers of Wake left.
//
// When more is ready than fits, the rest comes first in the next Wait. Each
// edge is reported once: act until EAGAIN, or remember that you did not.
//
// Errors: ErrClosed, ErrBusy, ErrNoRoom, or the kernel's. Signals are handled.
func (p *Poller) Wait(evs []Event, timeout time.Duration) (n int, err error) {
	if len(evs) == 0 {
		return 0, ErrNoRoom
	}
	if err := p.enterWait(); err != nil {
		return 0, err
	}
	n, err = p.wait(evs, timeout)
	if p.leaveWait() {
		return 0, ErrClosed
	}
	return n, err
}

// Precise asks for Waits that end as close to their timeout as the kernel can
// make it, at some cost for each Wait. It is called before the first one, and
// never again. Where it is not needed it changes nothing: epoll_pwait2 counts
// nanoseconds, and what else delays it is the thread's (its timer slack).
// Kernels that put kevent's own timeout off to save power have a timer filter,
// which they do not.
func (p *Poller) Precise() { p.kernel.precise() }

// ParkLeast is the timeout up to which a Wait sleeps in the system call although
// Park is on. The end of a longer one does so too: it is to end in time.
const ParkLeast = 4 * time.Millisecond

// Park says how Waits sleep from now on: off, the default, in the system call;
// on, as a goroutine does that waits for a socket of package net, without a
// thread and without a P. It is the cheaper way for who sleeps long and often,
// see the package comment; the price is that a Wait returns late, by 5 to 20
// ms, when every P has been busy with one goroutine since something became
// ready. See also ParkLeast.
//
// It is for the goroutine that waits, and may be called again with what it is
// already; a change costs a system call, and the first one the poller's third
// descriptor. With thousands of descriptors turning it on takes milliseconds,
// once. Errors: ErrClosed, ErrBusy, the kernel's (EMFILE), or
// errors.ErrUnsupported where it does not exist, which is everywhere but on
// Linux; then Waits go on as before.
func (p *Poller) Park(on bool) error {
	if err := p.enterWait(); err != nil {
		return err
	}
	err := p.kernel.parks(on)
	if p.leaveWait() {
		return ErrClosed
	}
	return err
}

// wait asks the kernel until there is something to say.
func (p *Poller) wait(evs []Event, timeout time.Duration) (int, error) {
	var began time.Duration
	if timeout > 0 {
		began = clock()
	}
	for left := timeout; ; {
		n, woken, err := p.kernel.wait(evs, left)
		if woken {
			p.heard()
		}
		if err == errInterrupted {
			err = nil
		}
		if n > 0 || woken || err != nil || timeout == 0 {
			return n, err
		}
		if timeout > 0 {
			// Over, or a signal came, or the kernel could not count that far.
			if left = timeout - (clock() - began); left <= 0 {
				return 0, nil
			}
		}
	}
}

// Wake makes the Wait in progress return, or else the next one. It costs a
// system call only when no other Wake is pending, so at most one per Wait. It
// may be called from any goroutine.
//
// What the caller wrote to memory before Wake is visible after that Wait. So:
// enqueue, then Wake; and on the other side Wait, then drain (see the package
// comment for what goes wrong the other way round).
func (p *Poller) Wake() error {
	if p.state.Load()&closed != 0 {
		return ErrClosed
	}
	if p.asked.Add(1) > 1 {
		return nil
	}
	if !p.enter() {
		return ErrClosed
	}
	defer p.leave()
	err := p.kernel.wake()
	if err != nil {
		p.asked.Store(0) // nobody rang: the next Wake has to
	}
	return err
}

// heard takes the ring back. It runs before Wait returns, so that work queued
// from here on rings again; and it is a swap, not a store, so that the waiter
// sees what every caller of Wake wrote, also those who only leaned on the ring.
func (p *Poller) heard() {
	asked := p.asked.Swap(0)
	if asked == 0 {
		return // Close rang
	}
	p.wakes.Add(1)
	p.coalesced.Add(asked - 1)
}

// Close ends the Poller; a Wait in progress returns ErrClosed. The descriptors
// that were added stay open, they are the caller's. The Poller's own are
// closed by the last goroutine to leave one of its methods, which is this one
// unless a Wait is in progress. Close may be called again and does nothing.
func (p *Poller) Close() error {
	waiting, ok := p.enterClose()
	if !ok {
		return nil
	}
	defer p.leave()
	if waiting {
		return p.kernel.wake()
	}
	return nil
}

// Stats returns the counters. It may be called from any goroutine, also after
// Close.
func (p *Poller) Stats() Stats {
	return Stats{Wakes: p.wakes.Load(), WakesCoalesced: p.coalesced.Load()}
}

// clock is the monotonic time since the process started, at half the price of
// time.Now.
func clock() time.Duration { return time.Since(start) }

var start = time.Now()
