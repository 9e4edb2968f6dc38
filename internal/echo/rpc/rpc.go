// Package rpc is the echo server as a gRPC service: weir.echo.v1.Echo, a method
// of each kind, and weir.echo.v1.Clock, a topic that ticks (echopb/echo.proto),
// with health and reflection. All of it runs on callbacks of package stream: no
// call has a goroutine, whatever it waits for.
//
//	calls.go    Echo: one request and one answer, many of either, many of both
//	clock.go    Clock: a ticker publishes, whoever has subscribed is sent it
//	health.go   what reflection says of grpc.health.v1, which package healthgrpc serves
//
// Server has the methods of package echo's Server, so that cmd/echo serves
// either.
package rpc

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/health"
	"github.com/weir-go/weir/health/healthgrpc"
	"github.com/weir-go/weir/internal/echo"
	"github.com/weir-go/weir/internal/echo/echopb"
	"github.com/weir-go/weir/internal/reflection"
	"github.com/weir-go/weir/stream"
)

// Config says how to serve. The zero value works.
type Config struct {
	At     conn.Addr     // where to listen. Zero: 127.0.0.1, a port of the system's choice
	Config conn.Config   // of the runtime
	Stream stream.Config // of the sessions
	Period time.Duration // from tick to tick. 0: a second, on the full second

	// Sockets are listening sockets to serve on instead of At, all for one
	// address. Serve owns them from then on.
	Sockets []int

	// Health is the process's, which is watched. nil: one that is well until the
	// server ends.
	Health *health.Health
}

// Server is an echo server that runs. Its methods may be called from any
// goroutine.
type Server struct {
	rt     *conn.Runtime
	ln     *conn.Listener
	srv    *stream.Server
	clock  *clock
	health *health.Health
	own    bool // health is this server's
	well   *healthgrpc.Service
}

// Serve starts a server and returns once it listens.
func Serve(cfg Config) (*Server, error) {
	if cfg.At == (conn.Addr{}) {
		cfg.At = conn.TCP(netip.MustParseAddrPort("127.0.0.1:0"))
	}
	if cfg.Period == 0 {
		cfg.Period = time.Second
	}
	rt, err := conn.Start(cfg.Config)
	if err != nil {
		return nil, err
	}
	s := &Server{rt: rt, srv: stream.NewServer(cfg.Stream), health: cfg.Health}
	if s.own = s.health == nil; s.own {
		s.health = health.New(health.Config{})
		s.health.Serve()
	}
	if s.clock, err = startClock(rt, cfg.Period); err == nil {
		err = s.register()
	}
	switch {
	case err != nil:
	case len(cfg.Sockets) > 0:
		s.ln, err = conn.ListenConfig{}.AdoptAll(rt, cfg.Sockets, s.srv.Serve)
	default:
		s.ln, err = rt.Listen(cfg.At, s.srv.Serve)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// services are those that have a health.
var services = []string{"weir.echo.v1.Echo", "weir.echo.v1.Clock"}

// register makes all methods known.
func (s *Server) register() error {
	methods := map[string]stream.Method{
		"/weir.echo.v1.Echo/Unary":      {Unary: unary},
		"/weir.echo.v1.Echo/Push":       {Open: openPush},
		"/weir.echo.v1.Echo/Collect":    {Open: openCollect},
		"/weir.echo.v1.Echo/Bidi":       {Open: openBidi},
		"/weir.echo.v1.Clock/Subscribe": {Open: s.clock.open},
	}
	well, err := healthgrpc.Register(s.srv, s.health, healthgrpc.Config{Services: services})
	s.well = well
	errs := []error{err}
	for path, m := range methods {
		errs = append(errs, s.srv.Handle(path, m))
	}
	healthFile, err := healthFile()
	if err != nil {
		return err
	}
	errs = append(errs, reflection.Register(s.srv, echopb.File_internal_echo_echopb_echo_proto, healthFile))
	return errors.Join(errs...)
}

// Addr returns where the server listens, with the port the system chose.
func (s *Server) Addr() conn.Addr { return s.ln.Addr() }

// Runtime returns the runtime the server stands on.
func (s *Server) Runtime() *conn.Runtime { return s.rt }

// Streams returns what package stream has counted.
func (s *Server) Streams() stream.Stats { return s.srv.Stats() }

// Ticks returns what the clock's topic has counted.
func (s *Server) Ticks() stream.TopicStats { return s.clock.topic.Stats() }

// Open returns the number of connections open now.
func (s *Server) Open() int { return int(s.rt.Stats().Conns) }

// Totals returns what was done so far, in bytes of HTTP/2.
func (s *Server) Totals() echo.Totals {
	stats := s.rt.Stats()
	return echo.Totals{Conns: stats.Opened, BytesIn: stats.BytesRead, BytesOut: stats.BytesWritten}
}

// Shutdown takes no new connections and calls, says so to those who watch the
// clock and the health, and waits until the calls there are have ended. When ctx
// ends first, the rest is cut off and the error is ctx's. The server is closed
// afterwards either way.
func (s *Server) Shutdown(ctx context.Context) error {
	s.ln.Drain()
	s.leave()
	s.clock.stop(stream.Statusf(stream.Unavailable, "the server ends"))
	err := s.srv.Shutdown(ctx)
	if err == nil {
		err = s.rt.Shutdown(ctx) // what is written and not sent yet
	}
	return errors.Join(err, s.rt.Close())
}

// leave tells those who watch the health that the server ends.
func (s *Server) leave() {
	if s.own {
		s.health.Drain("the server ends")
	}
	if s.well != nil {
		s.well.Close()
	}
}

// Dups and Leave hand the listening sockets over, as those of a restart.Listener.
func (s *Server) Dups() ([]int, error) { return s.ln.Dups() }

// Leave is part of that.
func (s *Server) Leave() { s.ln.Leave() }

// Close cuts every connection off and waits until all is closed.
func (s *Server) Close() error {
	s.leave()
	if s.clock != nil {
		s.clock.stop(nil)
	}
	s.srv.Close()
	return s.rt.Close()
}
