package conn

import (
	"time"

	"github.com/weir-go/weir/bounds"
)

// Who is not let in hears so, if the listener has a Farewell: a few at a time get
// a descriptor of a share of their own, are told, and are closed.
//
//	refused by the bounds ─┬─ no Farewell ─────────► park; in Hard: reset what waits
//	                       └─ Farewell ─┬─ accept ─► its Serve, which says so ─► closed
//	                                    └─ none free, or too many lately ─► park
//
// The others wait in the kernel's queue. How many are told is bounded, because
// those who are told so and come back at once would keep the processor busy: a
// listener that says no is not what the process is for.

const (
	farewells     = 16                     // told before the listener rests
	farewellRest  = 100 * time.Millisecond // so 160 a second, which take a few milliseconds of it
	farewellGrace = 5 * time.Second        // without a byte in or out, for a Serve that does not close
)

// farewellOf are the settings of connections that are told.
func farewellOf(o Options) *settings {
	if o.Idle == 0 || o.Idle > farewellGrace {
		o.Idle = farewellGrace
	}
	return &settings{o}
}

// bounded deals with connections that the bounds do not let in, one at a time;
// true when the next may be tried at once.
func (a *acceptor) bounded(l *loop, refusal error) bool {
	ln := a.ln
	if ln.farewell != nil && a.rests(l) {
		l.count.refBounds++
		a.parkUntil(l, a.rest, backoffMin) // however often others that end make it try
		return false
	}
	if ln.farewell != nil && ln.rt.take(bounds.Farewell) == nil {
		fd, peer, more := a.take(l, bounds.Farewell)
		if fd >= 0 {
			a.told++
			l.count.farewells++
			a.ln.refused(refusal)
			a.deal(l, fd, peer, bounds.Farewell)
		}
		return more
	}
	l.count.refBounds++
	a.ln.refused(refusal)
	if ln.farewell == nil && ln.rt.hard() {
		a.answer(l)
	}
	a.park(l)
	return false
}

// rests reports whether enough were told lately.
func (a *acceptor) rests(l *loop) bool {
	if a.told >= farewells {
		a.told, a.rest = 0, l.now.Add(farewellRest)
	}
	return l.now < a.rest
}
