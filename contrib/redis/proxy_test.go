package redis_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/netconn"
)

// proxy stands between a Store and a server, on a runtime of its own, and spoils
// what goes through it.
//
//	Store ──► request ──► server
//	      ◄── reply ◄─────
type proxy struct {
	addr string
	to   string
	rt   *conn.Runtime
	ln   net.Listener
	wg   sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]bool
	closed bool
	fault  func(fromServer bool, b []byte) verdict
}

// verdict is what becomes of some bytes.
type verdict struct {
	pass   int             // how many go on; the connection is cut behind them if it is not all
	reset  bool            // the cut is a reset
	silent bool            // nothing is cut: from here on this direction swallows everything
	sliced bool            // one byte at a time
	after  <-chan struct{} // when it is closed; nil: now
	late   time.Duration   // so much later, too
}

func startProxy(t testing.TB, to string) *proxy {
	t.Helper()
	rt := runtime(t)
	ln, err := netconn.Listen(rt, conn.TCP(netip.MustParseAddrPort("127.0.0.1:0")))
	ok(t, err)
	p := &proxy{addr: ln.Addr().String(), to: to, rt: rt, ln: ln, conns: make(map[net.Conn]bool)}
	p.wg.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func (p *proxy) close() {
	p.ln.Close()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cut()
	p.wg.Wait()
}

// cut ends all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

func (p *proxy) set(fault func(fromServer bool, b []byte) verdict) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = fault
}

func (p *proxy) accept() {
	for {
		client, err := p.ln.Accept()
		if err != nil {
			return
		}
		server, err := (&netconn.Dialer{Runtime: p.rt}).Dial("tcp", p.to)
		if err != nil {
			client.Close()
			continue
		}
		if !p.keep(client, server) {
			return
		}
		p.wg.Go(func() { p.copy(server, client, false) })
		p.wg.Go(func() { p.copy(client, server, true) })
	}
}

// keep notes both ends, or closes them when the proxy is closed.
func (p *proxy) keep(client, server net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		client.Close()
		server.Close()
		return false
	}
	p.conns[client], p.conns[server] = true, true
	return true
}

// copy carries one direction, until that or the fault ends it.
func (p *proxy) copy(to, from net.Conn, fromServer bool) {
	defer func() {
		to.Close()
		from.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, to)
		delete(p.conns, from)
	}()
	b := make([]byte, 64<<10)
	for silent := false; ; {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		if silent {
			continue
		}
		switch err := p.carry(to, b[:n], fromServer); err {
		case nil:
		case errSilent:
			silent = true
		case errReset:
			to.(*netconn.Conn).Abort()
			from.(*netconn.Conn).Abort()
			return
		default:
			return
		}
	}
}

var (
	errCut    = errors.New("cut")
	errReset  = errors.New("reset")
	errSilent = errors.New("silent")
)

func (p *proxy) carry(to io.Writer, b []byte, fromServer bool) error {
	p.mu.Lock()
	v := verdict{pass: len(b)}
	if p.fault != nil {
		v = p.fault(fromServer, b)
	}
	p.mu.Unlock()
	if v.after != nil {
		<-v.after
	}
	if v.late > 0 {
		<-time.After(v.late)
	}
	step := max(len(b), 1)
	if v.sliced {
		step = 1
	}
	for i := 0; i < v.pass; i += step {
		if _, err := to.Write(b[i:min(i+step, v.pass)]); err != nil {
			return err
		}
	}
	switch {
	case v.silent:
		return errSilent
	case v.reset:
		return errReset
	case v.pass < len(b):
		return errCut
	}
	return nil
}
