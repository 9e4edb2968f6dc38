package netconn

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/conn"
)

// resolutionDelay is how long IPv4 addresses wait for the IPv6 ones, which are
// preferred, when their lookup was answered first (RFC 8305, section 3).
const resolutionDelay = 50 * time.Millisecond

var errNoRuntime = errors.New("netconn: Dialer.Runtime is not set")

// The two families take turns, IPv6 first. Unix sockets have no family and
// stand with IPv4.
const (
	six  = 0
	four = 1
)

// race is one DialContext: lookups give addresses, attempts are started on
// them one by one, the first that connects wins.
//
//	lookup ip6 ─┐ answers        next: in turns, after a failure
//	            ├───────► waiting ───────► conn.Dialer.Start ─┐ results
//	lookup ip4 ─┘  [6][4]          or every stagger           ├───────► first
//	                                       conn.Dialer.Start ─┘         one
type race struct {
	rt      *conn.Runtime
	options conn.Options
	class   bounds.Class
	local   net.Addr
	stagger time.Duration // 0: an attempt starts when the last has failed
	most    int           // attempts

	answers chan answer // from lookups; room for all
	results chan result // from loops, which must not wait; room for all
	decided atomic.Bool // somebody has won, or the caller has gone

	// Owned by the goroutine in run.
	waiting [2][]conn.Addr
	turn    int  // the family to draw from next
	lookups int  // without an answer yet
	running int  // attempts without a result yet
	tried   int  // attempts ever
	due     bool // an attempt should have been started when no address was there
	timer   *time.Timer
	unknown []error // of lookups
	failed  []error // of attempts
}

type answer struct {
	addrs []conn.Addr
	err   error
}

type result struct {
	conn *Conn
	err  error
}

// run begins (lookups, or addresses that are known) and returns when somebody
// has won, nobody can any more, or ctx is done. What is left is aborted.
func (r *race) run(ctx context.Context, begin func(context.Context)) (*Conn, error) {
	if r.rt == nil {
		return nil, errNoRuntime
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.answers = make(chan answer, len(r.waiting))
	r.results = make(chan result, r.most)
	r.timer = time.NewTimer(time.Hour)
	r.timer.Stop()
	defer r.timer.Stop()

	begin(ctx)
	if r.lookups == 0 {
		r.next(ctx)
	}
	done := ctx.Done()
	for r.lookups+r.running > 0 {
		select {
		case a := <-r.answers:
			r.lookups--
			r.add(a)
			r.answered(ctx)
		case res := <-r.results:
			if res.conn != nil {
				return res.conn, nil
			}
			r.running--
			r.failed = append(r.failed, res.err)
			r.next(ctx)
		case <-r.timer.C:
			r.next(ctx)
		case <-done:
			if r.decided.CompareAndSwap(false, true) {
				return nil, r.err()
			}
			done = nil // somebody has just won: the result is on its way
		}
	}
	return nil, r.err()
}

// add takes in what a lookup found.
func (r *race) add(a answer) {
	if a.err != nil {
		r.unknown = append(r.unknown, a.err)
	}
	for _, addr := range a.addrs {
		family := four
		if addr.IP.Addr().Is6() {
			family = six
		}
		r.waiting[family] = append(r.waiting[family], addr)
	}
}

// answered decides whether the addresses that have just come start at once.
func (r *race) answered(ctx context.Context) {
	switch {
	case r.running > 0 && !r.due:
		// The timer or a failure starts the next.
	case r.lookups == 0, len(r.waiting[six]) > 0:
		r.next(ctx)
	case len(r.waiting[four]) > 0:
		r.timer.Reset(resolutionDelay)
	}
}

// next starts the next attempt, if there is an address.
func (r *race) next(ctx context.Context) {
	for {
		addr, ok := r.draw()
		if !ok {
			r.due = true
			return
		}
		if r.start(ctx, addr) {
			break
		}
	}
	r.due = false
	r.timer.Stop() // it may have been set to the resolution delay
	if r.stagger > 0 {
		r.timer.Reset(r.stagger)
	}
}

// draw takes the next address, from the families in turns.
func (r *race) draw() (addr conn.Addr, ok bool) {
	if r.tried == r.most {
		return addr, false
	}
	if len(r.waiting[r.turn]) == 0 {
		r.turn = 1 - r.turn
	}
	w := &r.waiting[r.turn]
	if len(*w) == 0 {
		r.turn = six
		return addr, false
	}
	addr, *w = (*w)[0], (*w)[1:]
	r.turn = 1 - r.turn
	return addr, true
}

// start reports whether an attempt is under way; if not, its error is noted.
func (r *race) start(ctx context.Context, addr conn.Addr) bool {
	r.tried++
	local, err := localFor(r.local, addr)
	if err == nil {
		d := conn.Dialer{Options: r.options, Local: local, Class: r.class}
		err = d.Start(ctx, r.rt, addr, r.serve, func(err error) {
			r.results <- result{err: &attempt{addr, err}}
		})
	}
	if err != nil {
		r.failed = append(r.failed, &attempt{addr, err})
		return false
	}
	r.running++
	return true
}

// serve is called on a loop when an attempt has connected.
func (r *race) serve(c *conn.Conn) conn.Handler {
	if r.decided.CompareAndSwap(false, true) {
		r.results <- result{conn: FromBlocking(c.Block())}
	}
	return nil // who comes too late is closed by it
}
