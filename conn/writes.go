package conn

// The other ways to write. All of them keep the promises of Write.

// Writev accepts the bytes of bufs in order, as one Write of them joined.
func (c *Conn) Writev(bufs ...[]byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shut != 0 || c.block != nil {
		return 0, c.refusal()
	}
	if c.inside() {
		return c.writeEach(bufs, c.write)
	}
	// Queue all, then one gathered send for what was queued.
	return c.writeEach(bufs, c.add)
}

func (c *Conn) writeEach(bufs [][]byte, write func([]byte) (int, error)) (done int, err error) {
	for _, p := range bufs {
		n, err := write(p)
		if done += n; err != nil {
			return done, c.pushWith(err)
		}
	}
	return done, c.pushWith(nil)
}

// pushWith sends what is queued, and returns err or the send's error.
func (c *Conn) pushWith(err error) error {
	if c.out == nil {
		return err
	}
	if e := c.pushOn(); err == nil {
		err = e
	}
	return err
}

// Append accepts bytes as Write does, but leaves the sending to the loop, at
// the end of its turn: many small writes to one connection, from wherever, leave
// in one send.
func (c *Conn) Append(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shut != 0 || c.block != nil {
		return 0, c.refusal()
	}
	if c.inside() {
		return c.gather(p)
	}
	n, err := c.add(p)
	if n > 0 {
		c.soil()
	}
	return n, err
}

// add queues as much of p as the marks and the budget allow. mu is held.
func (c *Conn) add(p []byte) (int, error) {
	q := p
	if room := c.set.HighWater - int(c.pending.Load()); len(q) > room {
		q = q[:max(room, 0)]
	}
	if len(q) > 0 && !c.enqueue(q, false) {
		return 0, ErrBudget
	}
	if len(q) < len(p) {
		c.wanting = true
		c.loop.rt.full.Add(1)
		return len(q), ErrFull
	}
	return len(q), nil
}

// WriteShared accepts the bytes of s without copying them, whole or not at all:
// ErrFull when pending output is at HighWater already. The connection keeps a
// reference of its own until they are sent; the caller's stays the caller's.
func (c *Conn) WriteShared(s *Shared) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shut != 0 || c.block != nil {
		return c.refusal()
	}
	inside := c.inside()
	if inside && len(c.loop.stage) > 0 {
		if err := c.flushStage(false); err != nil {
			return err
		}
	}
	n := 0
	if c.out == nil {
		var err error
		if n, err = c.send(s.p, false); n == len(s.p) || err != nil {
			return err
		}
	} else if int(c.pending.Load()) >= c.set.HighWater {
		c.wanting = true
		c.loop.rt.full.Add(1)
		return ErrFull
	}
	// Part of it may have gone out already: then the rest must follow, whatever
	// the budget says.
	if !s.charge(&c.loop.rt.budget, n > 0) {
		return ErrBudget
	}
	s.Retain()
	c.queueRef(s.p[n:], s)
	return c.pushOn()
}

// AppendShared is WriteShared with the sending left to the loop, at the end of
// its turn.
func (c *Conn) AppendShared(s *Shared) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shut != 0 || c.block != nil {
		return c.refusal()
	}
	if c.inside() && len(c.loop.stage) > 0 {
		if err := c.flushStage(false); err != nil {
			return err
		}
	}
	if int(c.pending.Load()) >= c.set.HighWater {
		c.wanting = true
		c.loop.rt.full.Add(1)
		return ErrFull
	}
	if !s.charge(&c.loop.rt.budget, false) {
		return ErrBudget
	}
	s.Retain()
	c.queueRef(s.p, s)
	c.soil()
	return nil
}

// Pending returns how many accepted bytes the kernel has not taken yet. Any
// goroutine.
func (c *Conn) Pending() int { return int(c.pending.Load()) }

// Room returns how many bytes Write would accept now. Any goroutine; with other
// writers about it is a guess.
func (c *Conn) Room() int { return max(c.set.HighWater-int(c.pending.Load()), 0) }
