package stream

// Detach lets a stream outlive its goroutine: when the method has returned nil,
// the stream goes on with callbacks of h, and messages that were not received
// are shown to h first. With h nil, messages are dropped, and the stream goes on
// until Finish, or until the peer cancels it or goes: that the peer half-closes
// does not end it, because clients of server-streaming methods do so at once.
// ErrNoServe outside a method with Go.
func (st *Stream) Detach(h Handler) error {
	c := st.call.Load()
	if st.method.Go == nil || c == nil || st.method.out != nil {
		return ErrNoServe
	}
	c.detach = &detachment{h: h}
	return nil
}

// detachment is what Detach leaves for the loop.
type detachment struct {
	h      Handler
	status *Status // without Detach: what the method has returned
}

// returned is the return of a Go method, on the loop.
func (st *Stream) returned(d *detachment) {
	st.flags &^= serving
	if st.flags&ended != 0 {
		st.sess.core.Release(&st.h)
		st.abandoned(d)
		return
	}
	if d.status != nil {
		st.finish(d.status)
		return
	}
	st.flags |= detached
	st.flags &^= starved
	st.setHandler(d.h)
	st.replay()
	st.credit()
}

// replay shows a handler what came before it took over.
func (st *Stream) replay() {
	c := st.call.Load()
	c.mu.Lock()
	b, eof := c.takeAll(), c.eof
	if c.done == nil && len(c.after) == 0 && c.waits == 0 { // nobody listens to its end
		c.left = true
		st.call.CompareAndSwap(c, nil)
	}
	c.mu.Unlock()
	for b != nil {
		next, read := b.next, b.at > 0
		for m, compressed, ok := b.nextMessage(); ok; m, compressed, ok = b.nextMessage() {
			if st.flags&(ended|finishing) == 0 {
				st.deliver(m, compressed, false)
			}
		}
		st.letGo(b, read)
		b = next
	}
	if eof && st.flags&(ended|finishing) == 0 {
		st.halfClosed()
	}
}

// abandoned is the return of a Go method to a session that has gone.
func (st *Stream) abandoned(d *detachment) {
	st.call.Load().drop()
	if d.h != nil {
		st.tellClosed(d.h, st.final)
	}
}
