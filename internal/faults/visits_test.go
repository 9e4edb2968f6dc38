//go:build linux && faults

package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/await"
	"github.com/weir-go/weir/internal/ports"
)

// visit comes to a listener, sends letters and maybe an order, and leaves in one
// way or another.
func (r *rig) visit(at conn.Addr, n *rand.Rand) error {
	nc, err := net.Dial(at.Network(), at.String())
	if err != nil {
		r.refused.Add(1)
		return nil
	}
	return r.talk(nc, n)
}

// talk is a visit that has come.
func (r *rig) talk(nc net.Conn, n *rand.Rand) error {
	defer nc.Close()
	text := make([]byte, 1+n.IntN(2000))
	for i := range text {
		text[i] = byte('h' + n.IntN(19)) // g is an answer
	}
	if n.IntN(2) == 0 {
		text[n.IntN(len(text))] = orders[n.IntN(len(orders))]
	}
	if _, err := nc.Write(text); err != nil {
		r.cut.Add(1)
		return nil
	}
	if t, ok := nc.(*net.TCPConn); ok && n.IntN(8) == 0 {
		t.SetLinger(0)
		r.cut.Add(1)
		return nil
	}
	if n.IntN(8) == 0 {
		r.cut.Add(1)
		return nil
	}
	return r.back(nc, text)
}

// back reads until everything is back or the connection has ended. What comes is
// what was sent, but for the order, and for answers to it.
func (r *rig) back(nc net.Conn, text []byte) error {
	got, p := 0, make([]byte, 4096)
	for giveUp := time.Now().Add(await.Patience); time.Now().Before(giveUp); {
		nc.SetReadDeadline(time.Now().Add(nudge))
		k, err := nc.Read(p)
		for _, c := range p[:k] {
			if c == '.' || c == 'g' {
				continue
			}
			if got < len(text) && isOrder(text[got]) && c != text[got] {
				got++ // taken as an order; on its blocking face it comes back
			}
			if got == len(text) || c != text[got] {
				return fmt.Errorf("%q for %q at %d", c, text, got)
			}
			got++
		}
		switch {
		case got == len(text) || got == len(text)-1 && isOrder(text[got]):
			r.served.Add(1)
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			if _, err := nc.Write([]byte(".")); err != nil {
				r.cut.Add(1)
				return nil
			}
			lookAgain(nc.RemoteAddr().Network(), nc.RemoteAddr().String())
		case err != nil:
			r.cut.Add(1)
			return nil
		}
	}
	return fmt.Errorf("neither an answer nor an end: %d of %d", got, len(text))
}

// call connects from the runtime, has something back, and ends it.
func (r *rig) call(to conn.Addr, n *rand.Rand) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*nudge)
	defer cancel()
	closed := make(chan error, 1)
	size := 1 + n.IntN(2000)
	end := []func(*conn.Conn){
		func(c *conn.Conn) { c.Close() }, func(c *conn.Conn) { c.Abort() },
		func(c *conn.Conn) { c.CloseWith(nil) }, func(c *conn.Conn) { c.CloseWrite() },
	}[n.IntN(4)]
	var d conn.Dialer
	if n.IntN(4) == 0 && !to.IsUnix() {
		d.Local = conn.TCP(netip.AddrPortFrom(to.IP.Addr(), 0))
	}
	c, err := d.Dial(ctx, r.rt, to, func(c *conn.Conn) conn.Handler {
		c.Write(bytes.Repeat([]byte("x"), size))
		return &caller{left: size, end: end, closed: closed}
	})
	if err != nil {
		r.refused.Add(1)
		return nil
	}
	for giveUp := time.Now().Add(await.Patience); time.Now().Before(giveUp); {
		select {
		case <-closed:
			r.served.Add(1)
			return nil
		case <-time.After(nudge):
			c.Write([]byte("."))
			lookAgain(to.Network(), to.String())
		}
	}
	return errors.New("a connection of the runtime's own is stuck")
}

type caller struct {
	left   int
	end    func(*conn.Conn)
	closed chan error
}

func (k *caller) Data(c *conn.Conn) error {
	p := c.Peek()
	k.left -= bytes.Count(p, []byte("x"))
	c.Discard(len(p))
	if k.left < 0 {
		return errors.New("more than was sent")
	}
	if k.left == 0 && k.end != nil {
		k.end(c)
		k.end = nil
	}
	return nil
}

func (k *caller) Closed(_ *conn.Conn, err error) { k.closed <- err }

// pair gives the runtime one end of a pair of sockets.
func (r *rig) pair(n *rand.Rand) error {
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(p[1]), "pair")
	nc, err := net.FileConn(f)
	f.Close()
	if err != nil {
		return err
	}
	defer nc.Close()
	if _, err := r.rt.Adopt(p[0], conn.Options{}, r.serve); err != nil {
		r.refused.Add(1)
		return nil
	}
	return r.talk(nc, n)
}

// listen opens a listener, has somebody come, and closes it under him, who is then
// at nobody else's.
func (r *rig) listen(n *rand.Rand) error {
	held, err := ports.Bind(0)
	if err != nil {
		return err
	}
	defer held.Close()
	ln, err := r.rt.Listen(conn.TCP(held.Addr), r.serve)
	if err != nil {
		r.refused.Add(1)
		return nil
	}
	var all sync.WaitGroup
	seed := n.Uint64()
	all.Go(func() { err = r.call(ln.Addr(), rand.New(rand.NewPCG(seed, 1))) })
	if fd, err := ln.Dup(); err == nil {
		syscall.Close(fd)
	}
	if n.IntN(2) == 0 {
		all.Wait()
	}
	ln.Close()
	all.Wait()
	return err
}

// sequence is one of them.
func (r *rig) sequence(n *rand.Rand) error {
	switch n.IntN(8) {
	case 0, 1, 2:
		return r.visit(r.tcp.Addr(), n)
	case 3:
		return r.visit(r.unix.Addr(), n)
	case 4, 5:
		return r.call(conn.TCP(netip.MustParseAddrPort(r.echo.Addr().String())), n)
	case 6:
		return r.pair(n)
	}
	return r.listen(n)
}
