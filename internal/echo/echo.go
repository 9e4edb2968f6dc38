// Package echo is one job done three ways: a server that sends back every byte
// it is sent.
//
//	callback.go   package conn: functions that the loop calls
//	blocking.go   package netconn: a goroutine for each connection
//	std.go        package net: the same, for comparison
//
// Each file can be read on its own and has all that matters of its way. What
// is here is what they share. cmd/echo and bench serve with this package.
//
// The three behave alike: bytes are sent back in order, a peer that finishes
// (FIN) gets all it is owed before it gets our FIN, and a peer that sends and
// never reads is not read from any further, so that it holds a bounded amount
// of memory. Shutdown stops accepting, sends back what has already arrived,
// and closes.
package echo

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"syscall"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/restart"
)

// Face is the way a server is written.
type Face string

// The faces. The empty Face is Callback.
const (
	Callback Face = "callback"
	Blocking Face = "blocking"
	Std      Face = "std" // package net
)

// Config says how to serve. The zero value works.
type Config struct {
	Face Face      // "": Callback
	At   conn.Addr // where to listen. Zero: 127.0.0.1, a port of the system's choice

	// Sockets are listening sockets to serve on instead of At, as systemd
	// hands them over (conn.ListenFDs). Serve owns them from then on.
	Sockets []conn.ListenFD

	Config     conn.Config   // of the runtime. Std has none and ignores it
	MaxIdle    time.Duration // silence after which a connection is closed. 0: never
	BufferSize int           // bytes read at once, Blocking and Std only. 0: 4 KiB
}

// Totals is what a server has done since it was started.
type Totals struct {
	Conns uint64 // connections accepted

	// Bytes read and written. Std counts those of a connection when it ends.
	BytesIn, BytesOut uint64
}

// Server is an echo server that runs. Its methods may be called from any
// goroutine.
type Server struct {
	face
}

// face is what callback.go, blocking.go and std.go each implement.
type face interface {
	// Addr returns where the server listens, with the port the system chose.
	Addr() conn.Addr

	// Runtime returns the runtime the server stands on, nil for Std.
	Runtime() *conn.Runtime

	// Totals returns what was done so far.
	Totals() Totals

	// Open returns the number of connections open now.
	Open() int

	// Shutdown stops accepting, sends back what has arrived, and closes every
	// connection. When ctx ends first, the rest is cut off and the error is
	// ctx's. The server is closed afterwards either way.
	Shutdown(ctx context.Context) error

	// Close cuts every connection off and waits until all is closed.
	Close() error

	// Dups and Leave hand the listening sockets over, as those of a
	// restart.Listener.
	Dups() ([]int, error)
	Leave()
}

// sockets is what the faces listen with.
type sockets []restart.Listener

func (all sockets) Dups() (fds []int, err error) {
	for _, l := range all {
		more, err := l.Dups()
		if err != nil {
			for _, fd := range fds {
				syscall.Close(fd)
			}
			return nil, err
		}
		fds = append(fds, more...)
	}
	return fds, nil
}

func (all sockets) Leave() {
	for _, l := range all {
		l.Leave()
	}
}

// handing collects listeners.
func handing[L any](all []L, as func(L) restart.Listener) (s sockets) {
	for _, l := range all {
		s = append(s, as(l))
	}
	return s
}

// Serve starts a server and returns once it listens.
func Serve(cfg Config) (*Server, error) {
	if cfg.BufferSize == 0 {
		cfg.BufferSize = 4 << 10
	}
	if cfg.At == (conn.Addr{}) {
		cfg.At = conn.TCP(netip.MustParseAddrPort("127.0.0.1:0"))
	}
	var f face
	var err error
	switch cfg.Face {
	case Callback, "":
		f, err = serveCallback(cfg)
	case Blocking:
		f, err = serveBlocking(cfg)
	case Std:
		f, err = serveStd(cfg)
	default:
		err = fmt.Errorf("echo: no face is called %q: callback, blocking or std", cfg.Face)
	}
	if err != nil {
		return nil, err
	}
	return &Server{f}, nil
}

// open makes the listeners of any face: one at cfg.At, or one for each socket
// that was handed over.
func open[L io.Closer](cfg Config, listen func(conn.Addr) (L, error), adopt func(fd int) (L, error)) ([]L, error) {
	if len(cfg.Sockets) == 0 {
		l, err := listen(cfg.At)
		return []L{l}, err
	}
	var all []L
	for _, s := range cfg.Sockets {
		l, err := adopt(s.FD)
		if err != nil {
			for _, l := range all {
				l.Close()
			}
			return nil, fmt.Errorf("echo: socket %d (%s): %w", s.FD, s.Name, err)
		}
		all = append(all, l)
	}
	return all, nil
}
