package conn

// Poker is an optional interface of a Handler that other goroutines leave work
// for: in a queue of its own, which the handler bounds, where Post would need
// room in the runtime's.
type Poker interface {
	// Poked is called on the loop after one or more calls of Poke.
	Poked(c *Conn)
}

// Poke asks for a call of the handler's Poked. Pokes are never refused and need
// no room: those that come before the call are answered by it together. After
// the end of the connection, and without a Poker, nothing happens. Any
// goroutine; inside a callback the call follows after it.
func (c *Conn) Poke() { c.ask(askPoke) }

// poke is Poke on the loop.
func (l *loop) poke(c *Conn) {
	if c.flags&(opened|gone) != opened || c.block != nil {
		return
	}
	if h, ok := c.handler.(Poker); ok {
		l.enter(c)
		h.Poked(c)
		l.leave(c)
		l.resume(c)
	}
}

// Handed says that this callback has made other goroutines runnable, as Go does
// by itself: the loop then lets them run before it sleeps, and does not hold its
// thread. Loop only.
func (c *Conn) Handed() {
	c.loop.check()
	c.loop.handed++
}
