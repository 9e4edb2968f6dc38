package bounds

// Take counts a descriptor that is about to be opened: before socket(2),
// accept(2) or open(2). Who gets nil gives it back, once, with Give, when it is
// closed or was not opened. The error is a *Refusal.
func (b *Bounds) Take(c Class) error {
	c = c.known()
	b.mu.Lock()
	verdict := b.verdict.Load()
	open := verdict.State <= c.worst()
	if open && b.fds.may(c) {
		b.taken(c)
		b.mu.Unlock()
		return nil
	}
	v := *verdict
	if open { // whatever else there is too little of, it is these
		v.Resource, v.State, v.Load = Descriptors, b.resources[0].machine.state, b.fds.load(b.fds.inUse())
	}
	b.resource(v.Resource).refused[c][v.State]++
	b.mu.Unlock()
	b.classes[c].refused.Add(1)
	return b.refusal(c, v)
}

// Force counts a descriptor that is open already, whatever there is left.
func (b *Bounds) Force(c Class) {
	b.mu.Lock()
	b.taken(c.known())
	b.mu.Unlock()
}

// taken counts one. mu is held.
func (b *Bounds) taken(c Class) {
	b.fds.force(c)
	b.classes[c].let.Add(1)
	if b.fds.inUse() >= b.alarm {
		now := b.sources.now()
		b.lookAtFDs(now)
		b.judge(now)
	}
}

// Give gives back what Take or Force has counted.
func (b *Bounds) Give(c Class) {
	b.mu.Lock()
	b.fds.give(c.known())
	b.mu.Unlock()
}

// known is the class that c is counted as.
func (c Class) known() Class {
	if c == 0 || int(c) >= Classes {
		return Other
	}
	return c
}
