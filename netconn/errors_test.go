package netconn_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"reflect"
	"syscall"
	"testing"
	"time"

	"github.com/weir-go/weir/conn"
)

// shape is what software can see of an error, and tests for.
type shape struct {
	nothing, eof                       bool
	operr                              bool
	op, network                        string
	source, addr                       reflect.Type
	timeout                            bool
	closed, late, reset, pipe, refused bool
}

func shapeOf(err error) shape {
	s := shape{
		nothing: err == nil,
		eof:     err == io.EOF,
		closed:  errors.Is(err, net.ErrClosed),
		late:    errors.Is(err, os.ErrDeadlineExceeded),
		reset:   errors.Is(err, syscall.ECONNRESET),
		pipe:    errors.Is(err, syscall.EPIPE),
		refused: errors.Is(err, syscall.ECONNREFUSED),
	}
	if ne, ok := err.(net.Error); ok {
		s.timeout = ne.Timeout()
	}
	if op, ok := err.(*net.OpError); ok {
		s.operr, s.op, s.network = true, op.Op, op.Net
		s.source, s.addr = reflect.TypeOf(op.Source), reflect.TypeOf(op.Addr)
	}
	return s
}

// end is what both kinds of connection can do.
type end interface {
	net.Conn
	syscall.Conn
	CloseRead() error
	CloseWrite() error
	SetLinger(sec int) error
}

// misuse are scenarios that end in an error.
var misuse = map[string]func(t *testing.T, a, b end) error{
	"read after close": func(t *testing.T, a, b end) error {
		a.Close()
		_, err := a.Read(make([]byte, 1))
		return err
	},
	"read nothing": func(t *testing.T, a, b end) error {
		_, err := a.Read(nil)
		return err
	},
	"read nothing when nothing is there": func(t *testing.T, a, b end) error {
		a.SetReadDeadline(time.Now().Add(time.Millisecond))
		a.Read(make([]byte, 1)) // now it is sure that there is nothing
		a.SetReadDeadline(time.Time{})
		_, err := a.Read(nil)
		return err
	},
	"read nothing after deadline": func(t *testing.T, a, b end) error {
		a.SetReadDeadline(time.Unix(1, 0))
		_, err := a.Read(nil)
		return err
	},
	"read nothing after close": func(t *testing.T, a, b end) error {
		a.Close()
		_, err := a.Read(nil)
		return err
	},
	"write nothing": func(t *testing.T, a, b end) error {
		_, err := a.Write(nil)
		return err
	},
	"write after close": func(t *testing.T, a, b end) error {
		a.Close()
		_, err := a.Write([]byte{1})
		return err
	},
	"close twice": func(t *testing.T, a, b end) error {
		a.Close()
		return a.Close()
	},
	"set deadline after close": func(t *testing.T, a, b end) error {
		a.Close()
		return a.SetReadDeadline(time.Now())
	},
	"close write after close": func(t *testing.T, a, b end) error {
		a.Close()
		return a.CloseWrite()
	},
	"close read after close": func(t *testing.T, a, b end) error {
		a.Close()
		return a.CloseRead()
	},
	"option after close": func(t *testing.T, a, b end) error {
		a.Close()
		return a.SetLinger(0)
	},
	"raw control after close": func(t *testing.T, a, b end) error {
		a.Close()
		raw, err := a.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		return raw.Control(func(uintptr) {})
	},
	"raw read after deadline": func(t *testing.T, a, b end) error {
		a.SetReadDeadline(time.Unix(1, 0))
		raw, err := a.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		return raw.Read(func(uintptr) bool { return false })
	},
	"read at end of stream": func(t *testing.T, a, b end) error {
		b.Close()
		_, err := a.Read(make([]byte, 1))
		return err
	},
	"read after own CloseRead": func(t *testing.T, a, b end) error {
		a.CloseRead()
		_, err := a.Read(make([]byte, 1))
		return err
	},
	"write after own CloseWrite": func(t *testing.T, a, b end) error {
		a.CloseWrite()
		_, err := a.Write([]byte{1})
		return err
	},
	"read after deadline": func(t *testing.T, a, b end) error {
		a.SetReadDeadline(time.Unix(1, 0))
		_, err := a.Read(make([]byte, 1))
		return err
	},
	"write after deadline": func(t *testing.T, a, b end) error {
		a.SetWriteDeadline(time.Unix(1, 0))
		_, err := a.Write([]byte{1})
		return err
	},
	"read after reset": func(t *testing.T, a, b end) error {
		b.SetLinger(0)
		b.Close()
		_, err := a.Read(make([]byte, 1))
		return err
	},
	"write after reset": func(t *testing.T, a, b end) error {
		b.SetLinger(0)
		b.Close()
		a.Read(make([]byte, 1)) // takes the reset
		_, err := a.Write([]byte{1})
		return err
	},
	"copy from reset": func(t *testing.T, a, b end) error {
		b.SetLinger(0)
		b.Close()
		_, err := io.Copy(io.Discard, struct{ io.Reader }{a})
		return err
	},
	"copy at end of stream": func(t *testing.T, a, b end) error {
		b.Close()
		_, err := io.Copy(io.Discard, a)
		return err
	},
}

// TestErrorsAsPackageNet runs each scenario on package net and on Weir and
// compares what a program can tell of the error.
func TestErrorsAsPackageNet(t *testing.T) {
	for _, network := range []string{"tcp4", "unix"} {
		t.Run(network, func(t *testing.T) {
			rt := start(t, conn.Config{})
			for name, scenario := range misuse {
				t.Run(name, func(t *testing.T) {
					a, b := stockPair(t, network)
					expected := scenario(t, a, b)
					c, d := pair(t, rt, network)
					got := scenario(t, c, d)
					if shapeOf(got) != shapeOf(expected) {
						t.Errorf("got      %v\n%+v\npackage net %v\n%+v", got, shapeOf(got), expected, shapeOf(expected))
					}
				})
			}
		})
	}
}

func stockPair(t *testing.T, network string) (client, server end) {
	t.Helper()
	l, err := net.Listen(stockListen(t, network))
	ok(t, err)
	defer l.Close()
	c, err := net.Dial(l.Addr().Network(), l.Addr().String())
	ok(t, err)
	t.Cleanup(func() { c.Close() })
	s, err := l.Accept()
	ok(t, err)
	t.Cleanup(func() { s.Close() })
	// SetLinger is TCP's in package net.
	if network == "unix" {
		return lingering{c.(*net.UnixConn)}, lingering{s.(*net.UnixConn)}
	}
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

// lingering gives a net.UnixConn the SetLinger that only net.TCPConn has.
type lingering struct{ *net.UnixConn }

func (l lingering) SetLinger(sec int) error {
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) {
		err = syscall.SetsockoptLinger(int(fd), syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1, Linger: int32(sec)})
	})
	if cerr != nil {
		// As (*net.TCPConn).SetLinger says it.
		op := cerr.(*net.OpError)
		return &net.OpError{Op: "set", Net: op.Net, Source: l.LocalAddr(), Addr: l.RemoteAddr(), Err: op.Err}
	}
	return err
}

// TestAddrs: the addresses are what software casts them to, and stay when the
// connection is closed.
func TestAddrs(t *testing.T) {
	each(t, func(t *testing.T, rt *conn.Runtime, network string) {
		a, b := pair(t, rt, network)
		c, d := stockPair(t, network)
		for _, state := range []string{"open", "closed"} {
			want(t, reflect.TypeOf(a.LocalAddr()), reflect.TypeOf(c.LocalAddr()))
			want(t, reflect.TypeOf(b.RemoteAddr()), reflect.TypeOf(d.RemoteAddr()))
			want(t, a.LocalAddr().Network(), c.LocalAddr().Network())
			want(t, a.LocalAddr().String(), b.RemoteAddr().String())
			want(t, b.LocalAddr().String(), a.RemoteAddr().String())
			if network == "unix" {
				want(t, a.LocalAddr().String(), c.LocalAddr().String())
			}
			if state == "open" {
				a.Close()
				b.Close()
			}
		}
	})
}

// TestRuntimeEndsCalls: whoever waits for bytes is woken when the runtime ends.
func TestRuntimeEndsCalls(t *testing.T) {
	ends := map[string]func(rt *conn.Runtime){
		"Close": func(rt *conn.Runtime) { rt.Close() },
		"Shutdown by force": func(rt *conn.Runtime) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			rt.Shutdown(ctx)
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			rt := start(t, conn.Config{})
			client, _ := pair(t, rt, "tcp4")
			var g tasks
			g.do(func() error { return closedOnly(discard(client.Read(make([]byte, 1)))) })
			g.do(func() error { return closedOnly(client.WaitRead()) })
			parked(t, "netconn.(*Conn).Read", 1)
			parked(t, "netconn.(*Conn).WaitRead", 1)
			end(rt)
			g.wait(t)
			// It knows no address any more, but what kind it was.
			_, err := client.Read(make([]byte, 1))
			want(t, shapeOf(err).network, "tcp")
		})
	}
}
