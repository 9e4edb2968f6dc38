package stream

// queue is the calls that wait, by outgoing.next and prev. Guarded by Client.mu.
type queue struct {
	head, tail *outgoing
	n          int
}

func (q *queue) push(o *outgoing) {
	if o.prev = q.tail; o.prev == nil {
		q.head = o
	} else {
		o.prev.next = o
	}
	q.tail = o
	q.n++
}

func (q *queue) pushFirst(o *outgoing) {
	if o.next = q.head; o.next == nil {
		q.tail = o
	} else {
		o.next.prev = o
	}
	q.head = o
	q.n++
}

func (q *queue) remove(o *outgoing) {
	if o.prev == nil {
		q.head = o.next
	} else {
		o.prev.next = o.next
	}
	if o.next == nil {
		q.tail = o.prev
	} else {
		o.next.prev = o.prev
	}
	o.prev, o.next = nil, nil
	q.n--
}

// todo is what was decided with Client.mu held and is done without it.
type todo struct {
	open []*outgoing // placed: their sessions are to open them
	dial *attempt
	end  []*outgoing // taken off: they end with why
	why  *Status
}

func (c *Client) do(t *todo) {
	for _, o := range t.open {
		o.knock()
	}
	for _, o := range t.end {
		o.perish(t.why)
	}
	if t.dial != nil {
		c.launch(t.dial)
	}
}

// knock leaves the stream with the session it was placed on.
func (o *outgoing) knock() {
	if !o.line.sess.put(command{st: o.st, op: opOpen}) {
		o.bounced()
	}
}

// begin finds a place for a new stream, or lets it wait.
func (c *Client) begin(o *outgoing) error {
	var t todo
	c.mu.Lock()
	l, err := c.enter(o, &t)
	c.mu.Unlock()
	if l != nil {
		o.knock()
	}
	c.do(&t)
	return err
}

// enter is begin with mu held. It returns the line where there is room at once.
func (c *Client) enter(o *outgoing, t *todo) (*line, error) {
	switch {
	case c.closing:
		return nil, ErrClosed
	case len(c.set.Targets) == 0:
		return nil, &Status{Code: Unavailable, Message: "the client has no targets"}
	}
	if c.queue.n == 0 {
		if l := c.best(nil); l != nil {
			c.called()
			l.take(o)
			if l.crowded() {
				c.grow(t, true)
			}
			return l, nil
		}
	}
	switch {
	case c.cooling != nil && !o.wait && !c.hasReady():
		return nil, c.unavailable()
	case !c.mayWait():
		c.nums.busy.Add(1)
		return nil, ErrBusy
	}
	c.called()
	if o.method.Go != nil {
		o.begun = make(chan struct{})
	}
	o.place = inQueue
	o.setAlarm()
	c.queue.push(o)
	c.schedule(t) // those before it may wait for another connection only
	return nil, nil
}

// unavailable is what calls end with when no target can be reached.
func (c *Client) unavailable() *Status {
	s := Statusf(Unavailable, "no connection: %v", c.lastErr)
	if c.lastBarred { // other causes stay text: a dial's deadline is not the call's
		s.cause = c.lastErr
	}
	return s
}

// hasReady reports whether some connection takes calls, if not now.
func (c *Client) hasReady() bool {
	for _, l := range c.lines {
		if !l.leaving {
			return true
		}
	}
	return false
}

// best returns the line with the fewest streams that has room, but not avoid;
// one whose window is not full is better than any that is. nil: there is none.
func (c *Client) best(avoid *line) (best *line) {
	stuck := false
	for _, l := range c.lines {
		if l == avoid || l.leaving || l.n >= l.room {
			continue
		}
		s := l.crowded()
		if best == nil || stuck && !s || s == stuck && l.n < best.n {
			best, stuck = l, s
		}
	}
	return best
}

// schedule places what waits, as far as there is room. A stream that was refused
// goes elsewhere if there is, or can be, another connection.
func (c *Client) schedule(t *todo) {
	for o := c.queue.head; o != nil; {
		next := o.next
		l := c.best(o.avoid)
		if l == nil && o.avoid != nil && !c.canGrow() && c.dialing == nil {
			l = c.best(nil)
		}
		if l != nil {
			c.queue.remove(o)
			l.take(o)
			t.open = append(t.open, o)
		} else if c.best(nil) == nil {
			break
		}
		o = next
	}
	if c.queue.n > 0 {
		c.grow(t, true)
	}
}

// canGrow reports whether another connection may be begun.
func (c *Client) canGrow() bool {
	n := 0
	for _, l := range c.lines {
		if !l.leaving {
			n++
		}
	}
	return c.dialing == nil && c.cooling == nil && !c.closed && n < c.set.MaxConns && len(c.lines) < 4*c.set.MaxConns
}

// grow begins another connection if one is wanted and allowed.
func (c *Client) grow(t *todo, wanted bool) {
	if !wanted || !c.canGrow() || t.dial != nil {
		return
	}
	a := &attempt{c: c, target: c.set.Targets[c.turn%len(c.set.Targets)]}
	c.turn++
	c.dialing = a
	t.dial = a
}

// forget ends a stream that waits and was cancelled.
func (c *Client) forget(o *outgoing) {
	c.mu.Lock()
	waits := true
	switch o.place {
	case inQueue:
		c.queue.remove(o)
		o.place = nowhere
	case resting:
		c.wake(o)
	default:
		waits = false
	}
	c.mu.Unlock()
	if waits {
		o.perish(o.cancelled())
	}
}

// bounce takes back a stream that was placed on a session which did not open it.
func (c *Client) bounce(o *outgoing) {
	c.mu.Lock()
	o.offLine()
	c.mu.Unlock()
	c.requeue(o)
}

// departed is told of a stream that a session has been refused.
func (c *Client) departed(o *outgoing) {
	c.nums.retries.Add(1)
	c.mu.Lock()
	o.avoid = o.line
	o.offLine()
	c.mu.Unlock()
}

// requeue lets a stream wait again, before the others.
func (c *Client) requeue(o *outgoing) {
	var t todo
	c.mu.Lock()
	why := o.cancelled()
	rest := o.pause
	if o.pause = 0; rest > 0 {
		c.leaving--
	}
	switch {
	case why != nil:
	case c.closed:
		why = &Status{Code: Unavailable, Message: "the client is closed"}
	case rest > 0:
		c.rest(o, rest)
		c.schedule(&t) // its place is free
	case c.cooling != nil && !o.wait && !c.hasReady():
		why = c.unavailable()
	default:
		o.place = inQueue
		o.setAlarm()
		c.queue.pushFirst(o)
		c.schedule(&t)
	}
	c.mu.Unlock()
	if why != nil {
		o.perish(why)
	}
	c.do(&t)
}

// finished is told of every stream that has ended.
func (c *Client) finished(o *outgoing) {
	var t todo
	c.mu.Lock()
	o.offLine()
	if o.begun != nil {
		o.signalBegun()
	}
	c.calls--
	if c.queue.n > 0 {
		c.schedule(&t)
	}
	c.checkEnd()
	c.mu.Unlock()
	c.do(&t)
}

func (o *outgoing) signalBegun() {
	select {
	case <-o.begun:
	default:
		close(o.begun)
	}
}

// offLine takes a stream off the count of its line. Client.mu is held.
func (o *outgoing) offLine() {
	if l := o.line; l != nil {
		l.n--
	}
	o.line, o.place = nil, nowhere
}

// failWaiting takes the calls off that do not wait for ready, or all that are on
// no connection. mu is held.
func (c *Client) failWaiting(t *todo, why *Status, all bool) {
	t.why = why
	for o := c.queue.head; o != nil; {
		next := o.next
		if all || !o.wait {
			c.queue.remove(o)
			o.place = nowhere
			t.end = append(t.end, o)
		}
		o = next
	}
	for all && c.resting.head != nil {
		o := c.resting.head
		c.wake(o)
		t.end = append(t.end, o)
	}
}

// checkEnd is called with mu held.
func (c *Client) checkEnd() {
	if c.closing && c.calls == 0 {
		closeOnce(c.quiet)
	}
	if c.closed && c.calls == 0 && c.sessions == 0 && c.dialing == nil {
		closeOnce(c.gone)
	}
}

func closeOnce(ch chan struct{}) {
	select {
	case <-ch:
	default:
		close(ch)
	}
}
