package stream

import (
	"context"
	"strings"
	"sync"

	"github.com/weir-go/weir/conn"
)

// Server serves gRPC methods over the connections given to Serve.
//
//	srv := stream.NewServer(stream.Config{})
//	srv.Handle("/chat.Chat/Talk", stream.Method{Open: talk})
//	rt.Listen(addr, srv.Serve)
type Server struct {
	side
	methods map[string]*Method
	names   map[string]bool // services that have a method
	other   *Method         // of Unknown
	workers workers
	giving  giving

	mu       sync.Mutex
	sessions map[*Session]struct{}
	draining bool
	closed   bool
	idle     chan struct{} // closed when draining and the last session has gone
}

// Method says how a method is served: by exactly one of Open, Go and Unary.
type Method struct {
	// Open makes the Handler of a new stream: callbacks on the loop, no
	// goroutine. An error ends the stream with its status, and no Handler is
	// called.
	Open func(st *Stream) (Handler, error)

	// Go serves a stream on a goroutine of the server's workers. What it
	// returns ends the stream, unless it has called Stream.Detach.
	Go func(st *Stream) error

	// Unary answers one request with one response, on the loop: it must not
	// block. req is valid until it returns; the answer is copied then.
	Unary func(st *Stream, req []byte) ([]byte, error)

	// Await lets Go begin when the first message, or the peer's end, is here
	// and not with the request's header: for methods that begin with Recv. A
	// stream that waits for it has no goroutine.
	Await bool

	// Brief says that Go answers one request with one answer, as Unary does: it
	// is a call and not a stream, which Config.Admit is not asked for.
	Brief bool

	// Vital says that the method shows how the server is, such as a health
	// check: it is not asked for either, and its streams do not end because the
	// process is short of something.
	Vital bool

	// Twin is the path of a method of one request and one answer that clients
	// may call as long as there is no room for this one's streams: it takes what
	// this one takes, and answers what this one sends. They are told by the
	// trailer weir-twin. "": none.
	Twin string

	MaxRecv, MaxSend int    // bytes of a message. 0: Config's
	Limits           Limits // of each stream. Zero: Config's

	own *side
	out *outgoing // of a Client's call; nil: a Server's method
}

// NewServer makes a Server. Its methods are registered before the first
// connection.
func NewServer(cfg Config) *Server {
	cfg.setDefaults()
	s := &Server{
		methods:  make(map[string]*Method),
		names:    make(map[string]bool),
		sessions: make(map[*Session]struct{}),
		idle:     make(chan struct{}),
	}
	s.settle(cfg, false)
	s.workers.max = cfg.Workers
	s.giving.every = giveEvery
	return s
}

// Handle registers a method under its path, "/package.Service/Method".
// ErrMethod when the path, m or its Twin is no such thing, ErrDuplicate when the path has
// a method.
func (s *Server) Handle(path string, m Method) error {
	service, name, ok := cutPath(path)
	if !ok || name == "" || !m.valid() {
		return ErrMethod
	}
	if s.methods[path] != nil {
		return ErrDuplicate
	}
	s.methods[path] = s.method(m)
	s.names[service] = true
	return nil
}

// Unknown registers a method for all paths that have none. ErrMethod when m is
// not one.
func (s *Server) Unknown(m Method) error {
	if !m.valid() {
		return ErrMethod
	}
	s.other = s.method(m)
	return nil
}

func (s *Server) method(m Method) *Method {
	zero(&m.MaxRecv, s.cfg.MaxRecv)
	zero(&m.MaxSend, s.cfg.MaxSend)
	m.Limits = m.Limits.or(s.cfg.Limits)
	s.lookFor(m.Limits)
	m.own = &s.side
	return &m
}

func (m *Method) valid() bool {
	n := 0
	for _, set := range [...]bool{m.Open != nil, m.Go != nil, m.Unary != nil} {
		if set {
			n++
		}
	}
	return n == 1 && (m.Twin == "" || validTwin(m.Twin))
}

// validTwin reports whether a path can be sent in a trailer.
func validTwin(path string) bool {
	_, name, ok := cutPath(path)
	return ok && name != "" && validPair(Pair{twinKey, path})
}

// cutPath takes "/service/method" apart.
func cutPath(path string) (service, method string, ok bool) {
	if !strings.HasPrefix(path, "/") {
		return "", "", false
	}
	i := strings.LastIndexByte(path, '/')
	if i == 0 {
		return "", "", false
	}
	return path[1:i], path[i+1:], true
}

// find returns the method of a path, or the status that says why there is none.
func (s *Server) find(path string) (*Method, *Status) {
	if m := s.methods[path]; m != nil {
		return m, nil
	}
	if s.other != nil {
		return s.other, nil
	}
	path = clip(path)
	service, method, ok := cutPath(path)
	switch {
	case !ok:
		return nil, Statusf(Unimplemented, "malformed method name: %q", path)
	case s.names[service]:
		return nil, Statusf(Unimplemented, "unknown method %v for service %v", method, service)
	}
	return nil, Statusf(Unimplemented, "unknown service %v", service)
}

// clip shortens what the peer has said and is told again: an answer must not be
// many times as long as its question, which may be one byte of HPACK.
func clip(s string) string {
	const most = 256
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

// Serve makes the handler of a connection; it is a conn.Serve. After Shutdown
// and Close it refuses.
func (s *Server) Serve(c *conn.Conn) conn.Handler {
	if sess := s.Attach(c); sess != nil {
		return (*wire)(sess)
	}
	return nil
}

// Attach begins a session on a Link that is not a plain connection: its owner
// calls Feed, Poked, Drained and, last, Lost. nil after Shutdown and Close.
// Loop only.
func (s *Server) Attach(l Link) *Session { return s.attach(l, false) }

func (s *Server) attach(l Link, farewell bool) *Session {
	sess := &Session{own: &s.side, srv: s, link: l, farewell: farewell}
	s.mu.Lock()
	refused := s.draining || s.closed
	if !refused {
		s.sessions[sess] = struct{}{}
		s.lookOut()
	}
	s.mu.Unlock()
	if refused {
		return nil
	}
	s.count.sessions.Add(1)
	sess.start()
	return sess
}

// left is told of every session that has gone.
func (s *Server) left(sess *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, sess)
	s.count.sessions.Add(-1)
	s.lookOut()
	s.checkIdle()
}

// checkIdle is called with mu held.
func (s *Server) checkIdle() {
	if !s.draining || len(s.sessions) > 0 {
		return
	}
	select {
	case <-s.idle:
	default:
		close(s.idle)
	}
}

// Shutdown drains: no new sessions and streams, and each session ends when its
// streams have. It returns nil when all have, or ctx's error after it has closed
// the rest. Never call it from a callback.
func (s *Server) Shutdown(ctx context.Context) error {
	s.tell(wishDrain)
	select {
	case <-s.idle:
		s.workers.close()
		return nil
	case <-ctx.Done():
		s.Close()
		return ctx.Err()
	}
}

// Close ends all sessions now. It returns when they have gone; goroutines of
// methods with Go find their contexts cancelled and may still run. Never call it
// from a callback.
func (s *Server) Close() error {
	s.tell(wishClose)
	<-s.idle
	s.workers.close()
	return nil
}

// tell leaves a wish with every session.
func (s *Server) tell(wish uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	for sess := range s.sessions {
		sess.ask(wish)
	}
	s.checkIdle()
}
