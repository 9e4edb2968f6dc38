package grpc

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/stream"
)

// Config says how a Server works. The zero value does.
type Config struct {
	stream.Config // limits, keepalive, compression (see Compressor)

	// Interceptors, outermost first, as with grpc.ChainUnaryInterceptor and
	// grpc.ChainStreamInterceptor. nil: none.
	UnaryInterceptors  []grpc.UnaryServerInterceptor
	StreamInterceptors []grpc.StreamServerInterceptor

	// Stats are told of calls, not of connections. The context that TagRPC
	// returns is the handler's. Lengths on the wire are 0 for compressed
	// messages. nil: nobody.
	Stats []stats.Handler

	// Inline reports whether a unary method, "/package.Service/Method", is
	// served on the loop: no goroutine changes hands, which is several times
	// cheaper, but the method and its interceptors must not block. It is asked
	// once per method when that is registered. nil: no.
	Inline func(method string) bool

	// Methods say of methods, by their full names, "/package.Service/Method", what
	// generated code does not: the FullMethodName constants that it has are such
	// names. It is looked at when a service is registered; a name that no method
	// has, and a Twin that is no registered unary method, Check finds.
	Methods map[string]MethodOptions

	// Unknown serves methods that nobody has registered, as
	// grpc.UnknownServiceHandler: the first argument is nil. Stream
	// interceptors see it as a stream of both sides. nil: Unimplemented.
	Unknown grpc.StreamHandler
}

// MethodOptions are what a method has besides what is generated. The zero value
// is what the others have.
type MethodOptions struct {
	// Twin is the full name of a unary method that clients may call as long as
	// there is no room for this one's streams: see stream.Method. "": none.
	Twin string

	Vital  bool          // see stream.Method
	Limits stream.Limits // of each of its streams. Zero: Config's
}

// Server is a grpc.ServiceRegistrar over package stream. Services are registered
// before the first connection; its other methods may be called from any
// goroutine.
type Server struct {
	cfg       Config
	core      *stream.Server
	unary     grpc.UnaryServerInterceptor  // the chain; nil: none
	streaming grpc.StreamServerInterceptor // likewise
	services  map[string]*service
	methods   map[string]known // by their full names
	fits      func() error     // Check, once

	// TLS handshakes, which run on goroutines of their own.
	life    context.Context // ends with Close
	end     context.CancelFunc
	shaking chan struct{} // a place for each
	shaken  sync.Once
	refused atomic.Uint64
}

var _ grpc.ServiceRegistrar = (*Server)(nil)

// NewServer makes a Server without services.
func NewServer(cfg Config) *Server {
	// Compressor answers nil for a name that is not registered.
	cfg.Compressors = slices.DeleteFunc(slices.Clone(cfg.Compressors), func(c stream.Compressor) bool { return c == nil })
	cfg.Methods = maps.Clone(cfg.Methods)
	s := &Server{
		cfg:       cfg,
		core:      stream.NewServer(cfg.Config),
		unary:     chainUnary(cfg.UnaryInterceptors),
		streaming: chainStream(cfg.StreamInterceptors),
		services:  make(map[string]*service),
		methods:   make(map[string]known),
		shaking:   make(chan struct{}, handshakes),
	}
	s.fits = sync.OnceValue(s.Check)
	s.life, s.end = context.WithCancel(context.Background())
	if cfg.Unknown != nil {
		m := &method{srv: s, clientStreams: true, serverStreams: true, handler: cfg.Unknown}
		if err := s.core.Unknown(stream.Method{Go: m.serve}); err != nil {
			panic(err) // Go is set: cannot be
		}
	}
	return s
}

// Serve makes the handler of a connection: it is what conn.Runtime's Listen
// takes. After Shutdown and Close it refuses, and so it does when Check has found
// something.
func (s *Server) Serve(c *conn.Conn) conn.Handler {
	if err := s.fits(); err != nil {
		c.CloseWith(err)
		return nil
	}
	return s.core.Serve(c)
}

// Farewell makes the handler of a connection for which there is no room: it is
// what conn.ListenConfig's Farewell takes next to a Listen with Serve, but not
// with ServeTLS. See stream.Server's Farewell.
func (s *Server) Farewell(c *conn.Conn) conn.Handler { return s.core.Farewell(c) }

// Core returns the server of package stream underneath, for its Stats and what
// else is not here. For methods that are served by callbacks next to generated
// ones there is Handle.
func (s *Server) Core() *stream.Server { return s.core }

// Shutdown takes no new sessions and calls and waits until those there are have
// ended; when ctx ends first, it closes the rest and returns ctx's error.
// Streams that live on without a goroutine count: Close their topics first, or
// give ctx a deadline. Never call it from an inline method.
//
// Listeners are the runtime's and go on: who connects now is closed without an
// answer. So a program ends in the order listener, Shutdown, runtime:
//
//	ln.Close()
//	topic.Close(nil)
//	err := srv.Shutdown(ctx)
//	rt.Close()
func (s *Server) Shutdown(ctx context.Context) error {
	s.endHandshakes()
	return s.core.Shutdown(ctx)
}

// Close ends all sessions now. Handlers find their contexts cancelled and may
// still run when it returns. Never call it from an inline method.
func (s *Server) Close() error {
	s.endHandshakes()
	return s.core.Close()
}
