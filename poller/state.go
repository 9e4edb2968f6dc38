package poller

// A descriptor number that was closed is given to the next open(2) of the
// process, whoever that is. So Close must not close while another goroutine
// is between "the poller is open" and its system call: a Wake would write its
// eight bytes into a stranger's file. The state word counts who is inside, and
// the last one out closes:
//
//	 31              2        1         0
//	┌─────────────────┬─────────┬────────┐
//	│ users inside    │ waiting │ closed │
//	└─────────────────┴─────────┴────────┘
//
//	open, users come and go ──Close──► closed, users only go ──last one──► == closed
//	                                                                       kernel.close()
//
// Nobody enters once closed is set, so the word becomes equal to closed exactly
// once. Every step is a read-modify-write of one word, which also gives Wait
// its memory order: whatever was written before an Add that entered earlier is
// visible after leaveWait, without the help of the kernel (of which the race
// detector knows nothing).
const (
	closed  = 1 << 0
	waiting = 1 << 1
	user    = 1 << 2
)

// enter counts a goroutine in; false: closed.
func (p *Poller) enter() bool {
	for {
		s := p.state.Load()
		if s&closed != 0 {
			return false
		}
		if p.state.CompareAndSwap(s, s+user) {
			return true
		}
	}
}

// leave counts it out.
func (p *Poller) leave() {
	if p.state.Add(^uint32(user-1)) == closed {
		p.kernel.close()
	}
}

// enterWait is enter for the one goroutine that may use kernel.wait.
func (p *Poller) enterWait() error {
	for {
		s := p.state.Load()
		if s&closed != 0 {
			return ErrClosed
		}
		if s&waiting != 0 {
			return ErrBusy
		}
		if p.state.CompareAndSwap(s, s|waiting) {
			return nil
		}
	}
}

// leaveWait reports whether the poller was closed meanwhile.
func (p *Poller) leaveWait() (over bool) {
	s := p.state.Add(^uint32(waiting - 1))
	if s == closed {
		p.kernel.close()
	}
	return s&closed != 0
}

// enterClose closes the door and stays inside, so that the wake source is
// there to be rung. It reports whether somebody is in Wait, and ok only to the
// first caller.
func (p *Poller) enterClose() (inWait, ok bool) {
	for {
		s := p.state.Load()
		if s&closed != 0 {
			return false, false
		}
		if p.state.CompareAndSwap(s, s+user|closed) {
			return s&waiting != 0, true
		}
	}
}
