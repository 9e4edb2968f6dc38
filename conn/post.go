package conn

// inbox is what other goroutines leave for a loop.
//
//	asked  connections of which something is wanted: each stands there at most
//	       once, whatever is wanted of it, so the list is no longer than the
//	       table of connections
//	tasks  functions: Post's are bounded by Config.PostQueue; the runtime's own
//	       (an accepted socket to adopt, work that came back) by what they are
//	       about
//	dirty  connections written to with Append
type inbox struct {
	asked []*Conn
	tasks []task
	dirty []*Conn
}

// task is a function to run on the loop, for c if c is set and still there.
type task struct {
	run  func()
	post func(*Conn) // in place of run, for c: saves Post a closure
	c    *Conn
	lost func() // called instead of run when the loop ends before; may be nil
}

// What may be asked of a connection's loop; a set of bits in Conn.asks.
const (
	asked      uint32 = 1 << iota // stands in the loop's inbox
	askClose                      // flush and close
	askDrop                       // end now, with the cause
	askRead                       // look whether there is something to read
	askDrained                    // look whether Drained is due
	askTimer                      // deadlines have changed (blocking face)
	askFace                       // take the connection back from the blocking face
	askPoke                       // call Poked
)

// ask leaves a wish for the connection's loop. Any goroutine.
func (c *Conn) ask(what uint32) {
	if c.asks.Or(what|asked)&asked == 0 {
		l := c.loop
		l.mu.Lock()
		if !l.dead {
			l.inbox.asked = append(l.inbox.asked, c)
			l.post.Add(1)
		}
		l.mu.Unlock()
		l.wake()
	}
}

// soil puts c on the list of connections to flush at the end of the turn.
// c.mu is held.
func (c *Conn) soil() {
	if c.dirty {
		return
	}
	c.dirty = true
	l := c.loop
	l.mu.Lock()
	if !l.dead {
		l.inbox.dirty = append(l.inbox.dirty, c)
		l.post.Add(1)
	}
	l.mu.Unlock()
	l.wake()
}

// send leaves a function for the loop; false when the loop has ended. With
// limit > 0 it is refused when so many wait already.
func (l *loop) send(t task, limit int) error {
	l.mu.Lock()
	if l.dead {
		l.mu.Unlock()
		return ErrClosed
	}
	if limit > 0 && len(l.inbox.tasks) >= limit {
		l.mu.Unlock()
		l.rt.postBusy.Add(1)
		return ErrBusy
	}
	l.inbox.tasks = append(l.inbox.tasks, t)
	l.post.Add(1)
	l.mu.Unlock()
	l.wake()
	return nil
}

// wake ends the loop's sleep. A loop that is awake finds the work by itself.
func (l *loop) wake() {
	if l.asleep.Load() && l.asleep.CompareAndSwap(true, false) {
		l.poller.Wake() // fails only when the loop has ended
	}
}

// takeInbox takes what was left so far. What comes while it is worked off is
// the next turn's.
func (l *loop) takeInbox() {
	if l.post.Load() == 0 || l.batch.busy() {
		return
	}
	l.mu.Lock()
	l.batch, l.inbox = l.inbox, l.batch.recycled()
	l.post.Store(0)
	l.mu.Unlock()
	l.count.posted += uint64(len(l.batch.tasks) + len(l.batch.asked))
	reverse(l.batch.asked)
	reverse(l.batch.tasks)
}

// workInbox works the batch off, first come first served; each is taken from
// its list before it is called, so that a panic skips it.
func (l *loop) workInbox() {
	b := &l.batch
	for len(b.tasks) > 0 {
		l.runTask(pop(&b.tasks))
	}
	for len(b.asked) > 0 {
		l.grant(pop(&b.asked))
	}
	for len(b.dirty) > 0 {
		l.flush(pop(&b.dirty))
	}
}

func (l *loop) runTask(t task) {
	if t.c == nil {
		l.enter(&l.nobody)
		t.run()
		l.exit()
		return
	}
	if t.c.flags&gone != 0 {
		return
	}
	if b := t.c.block; b != nil && b.users.retired() {
		l.takeBack(t.c) // asked for before t was posted
		if t.c.flags&gone != 0 {
			return
		}
	}
	l.enter(t.c)
	if t.post != nil {
		t.post(t.c)
	} else {
		t.run()
	}
	l.leave(t.c)
	l.resume(t.c)
}

// grant does what was asked of c.
func (l *loop) grant(c *Conn) {
	what := c.asks.Swap(0)
	if c.flags&gone != 0 {
		return
	}
	if what&askDrop != 0 {
		l.drop(c)
		return
	}
	if what&askFace != 0 {
		l.takeBack(c)
	}
	if what&askTimer != 0 && c.block != nil {
		c.block.arm(l)
	}
	if what&askClose != 0 { // before Drained, which is not called after Close
		l.close(c)
	}
	if what&askDrained != 0 {
		l.flush(c)
	}
	if what&askPoke != 0 {
		l.poke(c)
	}
	if what&askRead != 0 {
		c.messageGoesOn()
		l.resume(c)
	}
}

// resume reads on when c wants bytes again and may have some.
func (l *loop) resume(c *Conn) {
	if l.wants(c) {
		l.again(c)
	}
}

// Post runs f on the connection's loop, where it may do everything a callback
// may. It is not run when the connection ends before its turn. ErrBusy when
// Config.PostQueue functions wait already, ErrClosed when the connection or
// the runtime has ended.
func (c *Conn) Post(f func(c *Conn)) error {
	c.mu.Lock()
	over := c.shut&shutDown != 0
	c.mu.Unlock()
	if over {
		return ErrClosed
	}
	return c.loop.send(task{post: f, c: c}, c.loop.rt.cfg.PostQueue)
}

func (b *inbox) busy() bool { return len(b.tasks)+len(b.asked)+len(b.dirty) > 0 }

// recycled is b emptied; after a burst its memory is let go.
func (b *inbox) recycled() inbox {
	const keep = 4096
	var r inbox
	if cap(b.asked) <= keep {
		r.asked = b.asked[:0]
	}
	if cap(b.tasks) <= keep {
		r.tasks = b.tasks[:0]
	}
	if cap(b.dirty) <= keep {
		r.dirty = b.dirty[:0]
	}
	return r
}

func pop[T any](list *[]T) T {
	last := len(*list) - 1
	v := (*list)[last]
	var zero T
	(*list)[last] = zero // lets the garbage collector have it
	*list = (*list)[:last]
	return v
}

func reverse[T any](s []T) {
	for i, j := 0, len(s)-1; i < j; i, j = i+1, j-1 {
		s[i], s[j] = s[j], s[i]
	}
}
