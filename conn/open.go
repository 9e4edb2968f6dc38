package conn

import (
	"errors"
	"os"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/internal/sock"
	"github.com/weir-go/weir/poller"
)

var errNotListening = errors.New("not a listening stream socket")

// newConn may be called on any goroutine, with a descriptor that is counted; open or dialing.succeed follows on the
// loop.
func newConn(l *loop, fd int, class bounds.Class, peer sock.Peer, set *settings) *Conn {
	c := &Conn{loop: l, fd: fd, class: class, peer: peer, set: set}
	c.timer.Init((*patience)(c))
	return c
}

// open registers a connected socket and makes its handler. The connection and
// its loop's share have been counted. On the loop.
func (l *loop) open(c *Conn, serve Serve) {
	c.token = l.slots.add(c)
	if err := l.watch(c.fd, c.token); err != nil {
		c.fail(err)
		return
	}
	l.begin(c, serve)
}

// watch registers a descriptor under its token.
func (l *loop) watch(fd int, token poller.Token) error {
	if e := sock.Injected(sock.CallWatch, fd); e != 0 {
		return os.NewSyscallError("epoll_ctl", e)
	}
	return l.poller.Add(fd, token)
}

// begin asks serve for the handler of a registered connection.
func (l *loop) begin(c *Conn, serve Serve) {
	c.active = l.now
	l.count.opened++
	c.flags |= begun
	if t := l.rt.cfg.Trace; t != nil && t.Opened != nil {
		t.Opened(c)
	}
	l.enter(c)
	h := serve(c)
	if h != nil {
		c.setHandler(h)
		c.flags |= opened
	}
	l.leave(c)
	switch {
	case c.flags&gone != 0 || c.block != nil:
	case h == nil:
		l.count.refHandler++
		c.fail(ErrClosed)
	default:
		if l.drain {
			l.tellShutdown(c)
		}
		if c.idle() > 0 {
			c.arm()
		}
	}
}

// setOptions sets what an accepted or dialed TCP socket should have. An option
// that a system does not know is not worth a connection.
func setOptions(fd int, o *Options) {
	sock.SetNoDelay(fd, !o.Nagle)
	sock.SetKeepAlive(fd, sock.KeepAlive(o.KeepAlive))
	if o.UserTimeout > 0 {
		sock.SetUserTimeout(fd, o.UserTimeout)
	}
	setBuffers(fd, o)
}

func setBuffers(fd int, o *Options) {
	if o.ReadBuffer > 0 {
		sock.SetReadBuffer(fd, o.ReadBuffer)
	}
	if o.WriteBuffer > 0 {
		sock.SetWriteBuffer(fd, o.WriteBuffer)
	}
}

// Adopt makes a connection of a connected stream socket, such as one end of a
// socket pair or a descriptor from another process. It is the runtime's from
// here, also when Adopt fails. It returns when the loop has it; never call it
// from a callback. For Config.Bounds it is a bounds.Server, counted whatever
// there is left.
func (rt *Runtime) Adopt(fd int, o Options, serve Serve) (*Conn, error) {
	fail := func(err error) (*Conn, error) {
		sock.Close(fd)
		return nil, err
	}
	sock.SetCloseOnExec(fd)
	if err := sock.SetNonblock(fd); err != nil {
		return fail(err)
	}
	if stream, err := sock.IsStream(fd); err != nil {
		return fail(err)
	} else if !stream {
		return fail(os.NewSyscallError("adopt", errNotStream))
	}
	if rt.isDraining() {
		return fail(ErrShutdown)
	}
	if err := rt.join(); err != nil {
		return fail(err)
	}
	set := &settings{o.over(rt.cfg.Options)}
	remote, _ := sock.RemoteAddr(fd)
	if remote.IP.IsValid() {
		setOptions(fd, &set.Options)
	} else {
		setBuffers(fd, &set.Options)
	}
	l := rt.leastLoaded()
	l.conns.Add(1)
	rt.force(bounds.Server)
	c := newConn(l, fd, bounds.Server, sock.PeerOf(remote.IP), set)
	c.adopted = true
	done := make(chan error, 1)
	err := l.send(task{
		run: func() {
			defer func() { done <- nil }() // also when serve panics
			l.open(c, serve)
		},
		lost: func() { done <- ErrClosed },
	}, 0)
	if err == nil {
		err = <-done
	}
	if err != nil {
		l.conns.Add(-1)
		rt.part()
		rt.give(bounds.Server)
		return fail(err)
	}
	return c, nil
}

var errNotStream = errors.New("not a stream socket")

// ListenFDs returns the descriptors that systemd, or whoever started this
// process in its way, has passed on (LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES),
// none when there are none, and takes the variables out of the environment so
// that children do not inherit them. Give each to ListenConfig.Adopt.
func ListenFDs() ([]ListenFD, error) {
	fds, err := sock.ListenFDs(os.Getenv, os.Getpid())
	sock.UnsetListenFDs()
	all := make([]ListenFD, 0, len(fds))
	for _, fd := range fds {
		all = append(all, ListenFD(fd))
	}
	return all, err
}
