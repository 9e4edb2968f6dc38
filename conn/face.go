package conn

// Callback moves the connection back to the callback face under h. Bytes that
// were not read go along and are shown to Data at once, on the loop, which may
// be before Callback returns. No call may be in flight (ErrBusy); the Blocking
// is closed for its users from here. Any goroutine.
func (b *Blocking) Callback(h Handler) error {
	if !b.rmu.TryLock() {
		return ErrBusy
	}
	defer b.rmu.Unlock()
	if !b.wmu.TryLock() {
		return ErrBusy
	}
	defer b.wmu.Unlock()
	if b.users.n.Load() >= usersClosed {
		return ErrClosed // perhaps by another Callback, whose handler next is
	}
	b.next = h // the loop looks at it only when it sees the users retired
	if !b.users.retire() {
		b.next = nil
		if b.users.n.Load() >= usersClosed {
			return ErrClosed
		}
		return ErrBusy
	}
	b.wake(shutGate)
	b.c.ask(askFace)
	return nil
}

// takeBack is Callback on the loop.
func (l *loop) takeBack(c *Conn) {
	b := c.block
	if b == nil || !b.users.retired() {
		return
	}
	c.mu.Lock()
	c.block = nil
	c.mu.Unlock()
	l.heap.Stop(&c.timer)
	c.setHandler(b.next)
	// Whatever edges there were went to the Blocking: look.
	c.flags |= opened | readable | wasBlocking
	if b.r.state.Load()&over != 0 {
		c.flags |= hungUp
	}
	c.active = l.now
	c.arm()
	if prefix := b.prefix; len(prefix) > 0 {
		b.prefix = nil
		l.handOver(c, prefix)
	}
	if c.flags&gone == 0 {
		l.resume(c)
		if l.drain {
			l.tellShutdown(c)
		}
	}
}

// handOver shows the handler bytes that were read on the other face.
func (l *loop) handOver(c *Conn, p []byte) {
	l.enter(c)
	l.view = p
	err := c.handler.Data(c)
	l.leave(c)
	if err != nil {
		c.fail(err)
	}
}
