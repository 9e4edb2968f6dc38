package conn

import (
	"context"
	"os"
	"syscall"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/internal/sock"
	"github.com/weir-go/weir/poller"
)

// Dialer says how to connect. The zero value works.
type Dialer struct {
	Options              // of the connection; what is zero is taken from the Runtime's
	Local   Addr         // to connect from. Zero: the kernel chooses
	Loop    int          // n: the connection lives on loop n-1. 0: on the one with the fewest
	Class   bounds.Class // that Config.Bounds counts it as. 0: bounds.Client
}

// Dial connects to an address and waits until serve has been called on the new
// connection's loop, or ctx ends. Never call it from a callback: see
// Dialer.Start.
func (rt *Runtime) Dial(ctx context.Context, to Addr, serve Serve) (*Conn, error) {
	return Dialer{}.Dial(ctx, rt, to, serve)
}

// Dial is Runtime.Dial with options.
func (d Dialer) Dial(ctx context.Context, rt *Runtime, to Addr, serve Serve) (*Conn, error) {
	type result struct {
		c   *Conn
		err error
	}
	done := make(chan result, 1)
	err := d.Start(ctx, rt, to, func(c *Conn) Handler {
		// Told afterwards, so that the handler is in place when Dial returns;
		// deferred, so that a panic of serve's does not keep Dial waiting.
		defer func() { done <- result{c: c} }()
		return serve(c)
	}, func(err error) { done <- result{err: err} })
	if err != nil {
		return nil, err
	}
	r := <-done
	return r.c, r.err
}

// Start begins to connect and returns. Later either serve is called on the loop
// of the new connection, or failed on some loop, once. An error from Start
// means that neither will be. Any goroutine, callbacks too.
func (d Dialer) Start(ctx context.Context, rt *Runtime, to Addr, serve Serve, failed func(error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if rt.isDraining() {
		return ErrShutdown
	}
	class := classOr(d.Class, bounds.Client)
	if err := rt.take(class); err != nil {
		return err
	}
	if err := rt.join(); err != nil {
		rt.give(class)
		return err
	}
	l := rt.leastLoaded()
	if d.Loop > 0 {
		l = rt.all[(d.Loop-1)%len(rt.all)]
	}
	l.conns.Add(1)
	set := &settings{d.Options.over(rt.cfg.Options)}
	fd, err := d.socket(sock.Addr(to), &set.Options)
	if err != nil {
		l.conns.Add(-1)
		rt.give(class)
		rt.part()
		rt.wanted(err)
		return err
	}
	dg := &dialing{
		to: sock.Addr(to), serve: serve, failed: failed,
		c: newConn(l, fd, class, sock.PeerOf(to.IP), set),
	}
	lost := func() { dg.fail(l, ErrClosed) }
	if err := l.send(task{run: func() { dg.begin(ctx, l) }, lost: lost}, 0); err != nil {
		dg.discard(l)
		return err
	}
	return nil
}

func (d Dialer) socket(to sock.Addr, o *Options) (int, error) {
	fd, err := sock.Socket(to)
	if err != nil {
		return -1, err
	}
	if to.IsUnix() {
		setBuffers(fd, o)
	} else {
		setOptions(fd, o)
	}
	if d.Local != (Addr{}) {
		if err := sock.Bind(fd, sock.Addr(d.Local)); err != nil {
			sock.Close(fd)
			return -1, err
		}
	}
	return fd, nil
}

// dialing is a connect under way. When it succeeds, the connection takes its
// slot under the same registration.
type dialing struct {
	c      *Conn
	to     sock.Addr
	token  poller.Token
	serve  Serve
	failed func(error)
	stop   func() bool // ends the watch on ctx
	over   bool
}

// begin starts the handshake. On the loop.
func (d *dialing) begin(ctx context.Context, l *loop) {
	d.stop = context.AfterFunc(ctx, func() {
		l.send(task{run: func() { d.fail(l, context.Cause(ctx)) }}, 0)
	})
	if l.drain {
		d.fail(l, ErrShutdown)
		return
	}
	connected, err := sock.Connect(d.c.fd, d.to)
	if err != nil {
		d.fail(l, err)
		return
	}
	d.token = l.slots.add(d)
	if err := l.watch(d.c.fd, d.token); err != nil {
		d.fail(l, err)
		return
	}
	if connected {
		d.succeed(l)
	}
}

func (d *dialing) ready(l *loop, r poller.Ready) {
	if !r.Has(poller.Writable | poller.Hangup | poller.Failed) {
		return
	}
	switch err := sock.ConnectResult(d.c.fd); err {
	case nil:
		d.succeed(l)
		// What else this event said is the connection's news.
		if d.c.flags&gone == 0 {
			d.c.ready(l, r)
		}
	case sock.ErrInProgress:
	default:
		d.fail(l, err)
	}
}

func (d *dialing) succeed(l *loop) {
	if d.selfConnected() {
		d.fail(l, os.NewSyscallError("connect", syscall.ECONNREFUSED))
		return
	}
	d.over = true
	d.stop()
	c := d.c
	c.token = d.token
	l.slots.swap(d.token, c)
	l.count.dialed++
	l.begin(c, d.serve)
}

// selfConnected reports whether TCP has connected the socket to itself, which
// happens when the kernel's choice of a local port falls on the port dialed
// and nobody listens there.
func (d *dialing) selfConnected() bool {
	if d.to.IsUnix() {
		return false
	}
	local, err := sock.LocalAddr(d.c.fd)
	return err == nil && local.IP == d.to.IP
}

// fail ends an attempt that has not ended yet. On the loop.
func (d *dialing) fail(l *loop, err error) {
	if d.over {
		return
	}
	if d.stop != nil {
		d.stop()
	}
	if d.token != 0 {
		l.slots.remove(d.token)
	}
	d.discard(l)
	l.enter(&l.nobody)
	d.failed(err)
	l.exit()
}

func (d *dialing) discard(l *loop) {
	d.over = true
	l.rt.closeFD(d.c.fd, d.c.class)
	l.conns.Add(-1)
	l.rt.part()
}
