// Package healthgrpc serves gRPC's health checking protocol (grpc.health.v1: Check,
// List and Watch) on package stream's server, from a Health.
//
//	srv := stream.NewServer(stream.Config{})  // or grpc.Server's Core
//	svc, err := healthgrpc.Register(srv, h, healthgrpc.Config{Services: []string{"chat.Chat"}})
//
// The service "" stands for the process. It and all that are known are SERVING while
// the Health is ready, which it is in Shedding too, and NOT_SERVING otherwise: a
// client that is told NOT_SERVING takes its unary calls elsewhere as well, which this
// process would have answered, and with them its streams to others that are short.
// One service alone is switched by Set.
//
// A Watch has neither goroutine nor timer. It goes on while the process is short of
// something (stream.Method's Vital), and ends with Close.
package healthgrpc

import (
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/weir-go/weir/health"
	"github.com/weir-go/weir/stream"
)

// Config says what is served. The zero value works.
type Config struct {
	// Services are the names known from the start, with their packages, as
	// "chat.Chat". "" is always known.
	Services []string

	// Watchers is how many streams of Watch there may be at once; more are
	// refused with ResourceExhausted. 0: 1024.
	Watchers int
}

// MaxServices is how many names there may be.
const MaxServices = 1024

// ErrServices is what Register and Set answer to more.
var ErrServices = errors.New("healthgrpc: too many services")

// The statuses of the protocol.
const (
	serving    = 1
	notServing = 2
	unknown    = 3 // of a Watch only
)

// Service is the service on one server. Its methods may be called from any
// goroutine.
type Service struct {
	h    *health.Health
	most int
	stop func() // the watching of h

	mu       sync.Mutex
	up       map[string]bool // by service
	watchers map[*watcher]struct{}
	refused  uint64
	closed   bool
}

// Register serves grpc.health.v1.Health, before the server's first connection. Who
// calls it calls Close. Errors: ErrServices, health.ErrWatchers, and those of
// stream.Server's Handle.
func Register(srv *stream.Server, h *health.Health, cfg Config) (*Service, error) {
	if cfg.Watchers <= 0 {
		cfg.Watchers = 1024
	}
	s := &Service{h: h, most: cfg.Watchers, up: map[string]bool{"": true}, watchers: make(map[*watcher]struct{})}
	for _, name := range cfg.Services {
		s.up[name] = true
	}
	if len(s.up) > MaxServices {
		return nil, ErrServices
	}
	for path, m := range map[string]stream.Method{
		"/grpc.health.v1.Health/Check": {Unary: s.check},
		"/grpc.health.v1.Health/List":  {Unary: s.list},
		// It says nothing as long as nothing changes, and clients take its end for
		// a failure of the server.
		"/grpc.health.v1.Health/Watch": {Open: s.open, Vital: true, Limits: stream.Limits{Idle: -1, Age: -1}},
	} {
		if err := srv.Handle(path, m); err != nil {
			return nil, err
		}
	}
	stop, err := h.Watch(s.changed)
	if err != nil {
		return nil, err
	}
	s.stop = stop
	return s, nil
}

// Set makes a service known, or switches it: while it is not up it is NOT_SERVING,
// however the process is. ErrServices when there are too many.
func (s *Service) Set(service string, up bool) error {
	s.mu.Lock()
	if _, known := s.up[service]; !known && len(s.up) >= MaxServices {
		s.mu.Unlock()
		return ErrServices
	}
	s.up[service] = up
	s.mu.Unlock()
	s.changed()
	return nil
}

// Stats counts the watchers.
type Stats struct {
	Watchers int    // now
	Refused  uint64 // because there were too many
}

// Stats returns the counts.
func (s *Service) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Watchers: len(s.watchers), Refused: s.refused}
}

// Close begins the end of a server, which would wait for the streams of Watch: their
// sessions drain, and then they end with Unavailable, once they have been told how
// things stand. Check and List go on.
//
// The order is for clients that send no calls to a server whose Watch has failed:
// they have heard before that they should connect anew.
func (s *Service) Close() {
	s.mu.Lock()
	again := s.closed
	s.closed = true
	all := slices.Collect(maps.Keys(s.watchers))
	s.mu.Unlock()
	if again {
		return
	}
	s.stop()
	for _, w := range all {
		w.st.Session().Drain()
		w.st.Post(func(*stream.Stream) { w.tell(); w.st.Finish(errClosed) })
	}
}

var (
	errClosed = &stream.Status{Code: stream.Unavailable, Message: "the server ends"}
	errMany   = &stream.Status{Code: stream.ResourceExhausted, Message: "too many watch the health of this server"}
	errNone   = &stream.Status{Code: stream.Internal, Message: "there is no request"}
	errTwo    = &stream.Status{Code: stream.Internal, Message: "there are several requests"}
	errOdd    = &stream.Status{Code: stream.InvalidArgument, Message: "not a HealthCheckRequest"}
	errLong   = &stream.Status{Code: stream.InvalidArgument, Message: "no service has a name that long"}
)

// status is a service's.
func (s *Service) status(service string) byte {
	s.mu.Lock()
	up, known := s.up[service]
	s.mu.Unlock()
	switch {
	case !known:
		return unknown
	case up && s.h.Status().State.Ready():
		return serving
	}
	return notServing
}

func (s *Service) check(_ *stream.Stream, req []byte) ([]byte, error) {
	service, err := request(req)
	if err != nil {
		return nil, err
	}
	status := s.status(service)
	if status == unknown {
		return nil, stream.Statusf(stream.NotFound, "unknown service %q", service)
	}
	return appendResponse(nil, status), nil
}

func (s *Service) list(*stream.Stream, []byte) ([]byte, error) {
	s.mu.Lock()
	names := slices.Sorted(maps.Keys(s.up))
	s.mu.Unlock()
	var m []byte
	for _, name := range names {
		m = appendEntry(m, name, s.status(name))
	}
	return m, nil
}

// changed has all watchers look again, each on its loop.
func (s *Service) changed() {
	s.mu.Lock()
	all := slices.Collect(maps.Keys(s.watchers))
	s.mu.Unlock()
	for _, w := range all {
		w.st.Post(func(*stream.Stream) { w.tell() })
	}
}
