package grpc

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/stream"
)

// ClientConfig says where a ClientConn finds its servers, and how it works.
// Except for Targets the zero value works. Connect and Scheme are set by this
// package when there is TLS.
type ClientConfig struct {
	stream.ClientConfig // targets, limits, keepalive, compression (see Compressor)

	// TLS makes connections with it; servers must speak HTTP/2 (ALPN "h2"). An
	// empty ServerName is the Authority's host. It is copied. nil: plaintext.
	TLS *tls.Config

	// Interceptors, outermost first, as with grpc.WithChainUnaryInterceptor and
	// grpc.WithChainStreamInterceptor. Their *grpc.ClientConn is nil: there is
	// none. nil: no interceptors.
	UnaryInterceptors  []grpc.UnaryClientInterceptor
	StreamInterceptors []grpc.StreamClientInterceptor

	// Stats are told of calls, not of connections. Lengths on the wire are 0 for
	// compressed messages. nil: nobody.
	Stats []stats.Handler

	// Credentials are asked for metadata at every call. If they require it,
	// there must be TLS. nil: none.
	Credentials credentials.PerRPCCredentials

	// CallOptions come before those of a call. See ClientConn for what is
	// supported.
	CallOptions []grpc.CallOption

	// Twins lets streams go on as unary calls when the server has no room for
	// streams and says what to call instead. It is copied. nil: such streams end
	// with Unavailable, as with any client: that messages come in another way is
	// for who receives them to decide.
	Twins *Twins
}

// ClientConn is a grpc.ClientConnInterface over a stream.Client: generated
// clients work on it unchanged. Its methods may be called from any goroutine, but
// for callbacks.
//
// Of grpc's call options these work: Header, Trailer, Peer, WaitForReady,
// MaxCallRecvMsgSize, MaxCallSendMsgSize, UseCompressor, CallContentSubtype,
// ForceCodec, ForceCodecV2, CallCustomCodec, PerRPCCredentials, CallAuthority,
// OnFinish; StaticMethod and MaxRetryRPCBufferSize are taken and mean nothing
// here. Others end the call with Unimplemented.
type ClientConn struct {
	cfg       ClientConfig
	core      *stream.Client
	unary     grpc.UnaryClientInterceptor  // the chain; nil: none
	streaming grpc.StreamClientInterceptor // likewise
	defaults  callOptions
	dflErr    error // what is wrong with the default options
	twins     twinCounters

	// TLS handshakes, which run on goroutines of their own.
	life    context.Context // ends with Close
	end     context.CancelFunc
	shaking sync.WaitGroup
	mu      sync.Mutex // of closed: no handshake begins when Close waits for them
	closed  bool
}

var _ grpc.ClientConnInterface = (*ClientConn)(nil)

// NewClient makes a ClientConn. It connects when it is called. Its owner ends it
// with Close or Shutdown, before the runtime.
//
//	cc := grpc.NewClient(rt, grpc.ClientConfig{ClientConfig: stream.ClientConfig{Targets: []conn.Addr{addr}}})
//	chat := pb.NewChatClient(cc)
func NewClient(rt *conn.Runtime, cfg ClientConfig) *ClientConn {
	cfg.Compressors = slices.DeleteFunc(slices.Clone(cfg.Compressors), func(c stream.Compressor) bool { return c == nil })
	if cfg.Twins != nil {
		own := *cfg.Twins
		own.setDefaults()
		cfg.Twins = &own
	}
	cc := &ClientConn{cfg: cfg, unary: chainUnaryClient(cfg.UnaryInterceptors), streaming: chainStreamClient(cfg.StreamInterceptors)}
	cc.life, cc.end = context.WithCancel(context.Background())
	if cfg.UserAgent == "" {
		cfg.UserAgent = "grpc-go-weir"
	}
	if cfg.TLS != nil {
		cc.secure(&cfg)
	}
	cc.defaults, cc.dflErr = callOptions{}.with(cfg.CallOptions)
	cc.core = stream.NewClient(rt, cfg.ClientConfig)
	return cc
}

// Core returns the client of package stream underneath, for calls with callbacks
// and for its Stats.
func (cc *ClientConn) Core() *stream.Client { return cc.core }

// Shutdown takes no new calls, waits for those there are, and closes; when ctx
// ends first, it closes at once and returns ctx's error.
func (cc *ClientConn) Shutdown(ctx context.Context) error {
	err := cc.core.Shutdown(ctx)
	cc.Close()
	return err
}

// Close ends all calls and connections, and returns when they have gone.
func (cc *ClientConn) Close() error {
	cc.end()
	err := cc.core.Close()
	cc.mu.Lock()
	cc.closed = true
	cc.mu.Unlock()
	cc.shaking.Wait()
	return err
}

// Invoke is a unary call: what generated code does. It returns nil, or an error
// with a status.
func (cc *ClientConn) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	if cc.unary != nil {
		return cc.unary(ctx, method, req, reply, nil, cc.invoker, opts...)
	}
	return cc.invoke(ctx, method, req, reply, opts)
}

func (cc *ClientConn) invoker(ctx context.Context, method string, req, reply any, _ *grpc.ClientConn, opts ...grpc.CallOption) error {
	return cc.invoke(ctx, method, req, reply, opts)
}

var unaryDesc = &grpc.StreamDesc{}

func (cc *ClientConn) invoke(ctx context.Context, method string, req, reply any, opts []grpc.CallOption) error {
	cs, err := cc.open(ctx, unaryDesc, method, opts)
	if err != nil {
		return err
	}
	if err := cs.SendMsg(req); err != nil {
		return err
	}
	return cs.RecvMsg(reply)
}

// NewStream begins a streaming call: what generated code does. It waits until
// there is a connection. The call ends with ctx at the latest; as with grpc-go,
// who does not receive until an error must end ctx.
func (cc *ClientConn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if cc.streaming != nil {
		return cc.streaming(ctx, desc, nil, method, cc.streamer, opts...)
	}
	return cc.streamer(ctx, desc, nil, method, opts...)
}

func (cc *ClientConn) streamer(ctx context.Context, desc *grpc.StreamDesc, _ *grpc.ClientConn, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if cc.cfg.Twins != nil && desc.ServerStreams {
		return cc.follow(ctx, desc, method, opts)
	}
	cs, err := cc.open(ctx, desc, method, opts)
	if err != nil {
		return nil, err
	}
	return cs, nil
}

// open begins a call.
func (cc *ClientConn) open(ctx context.Context, desc *grpc.StreamDesc, method string, opts []grpc.CallOption) (*clientStream, error) {
	if cc.dflErr != nil {
		return nil, cc.dflErr
	}
	o, err := cc.defaults.with(opts)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(method, "/") { // as grpc-go's callers may do
		method = "/" + method
	}
	cs := &clientStream{cc: cc, o: o, desc: desc, ctx: ctx}
	if len(cc.cfg.Stats) > 0 {
		cs.stats = newClientReport(cs, method)
		cs.ctx = cs.stats.ctx
	}
	if cs.st, err = cc.call(cs, method); err != nil {
		err = clientError(err)
		cs.finish(err)
		return nil, err
	}
	cs.hooked()
	return cs, nil
}

// call begins the stream underneath.
func (cc *ClientConn) call(cs *clientStream, method string) (*stream.Stream, error) {
	o := &cs.o
	md, _ := metadata.FromOutgoingContext(cs.ctx)
	header := outgoing(md)
	for _, creds := range []credentials.PerRPCCredentials{cc.cfg.Credentials, o.creds} {
		if creds == nil {
			continue
		}
		var err error
		if header, err = cc.authorize(cs.ctx, creds, method, header); err != nil {
			return nil, err
		}
	}
	var err error
	if cs.codec, o.ContentType, err = o.codecFor(); err != nil {
		return nil, err
	}
	o.Header = header
	if cs.stats != nil {
		cs.stats.headerOut(md)
	}
	return cc.core.Call(cs.ctx, method, o.CallOptions)
}

// authorize adds what credentials say.
func (cc *ClientConn) authorize(ctx context.Context, creds credentials.PerRPCCredentials, method string, header stream.Metadata) (stream.Metadata, error) {
	info := credentials.RequestInfo{Method: method}
	if cc.cfg.TLS != nil {
		info.AuthInfo = credentials.TLSInfo{CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}}
	} else if creds.RequireTransportSecurity() {
		return nil, status.Error(codes.Unauthenticated, "grpc: the credentials require TLS, and the connection has none")
	}
	service := method[:strings.LastIndexByte(method, '/')]
	uri := "https://" + strings.TrimSuffix(cc.core.Authority(), ":443") + service
	data, err := creds.GetRequestMetadata(credentials.NewContextWithRequestInfo(ctx, info), uri)
	if err != nil {
		if s, ok := status.FromError(err); ok {
			return nil, s.Err()
		}
		return nil, status.Errorf(codes.Unauthenticated, "grpc: the credentials failed: %v", err)
	}
	for k, v := range data {
		header = append(header, stream.Pair{Key: strings.ToLower(k), Value: v})
	}
	return header, nil
}

// clientError gives an error of package stream grpc-go's form.
func clientError(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	if s, ok := status.FromError(err); ok {
		return s.Err()
	}
	var s *stream.Status
	switch {
	case errors.As(err, &s):
		err = status.FromProto(protoOf(s)).Err()
		if cause := s.Unwrap(); cause != nil {
			return &caused{err, cause}
		}
		return err
	case errors.Is(err, stream.ErrBusy):
		return status.Error(codes.ResourceExhausted, err.Error())
	case errors.Is(err, stream.ErrClosed):
		return status.Error(codes.Canceled, "grpc: the client connection is closing")
	}
	return status.Error(codes.Internal, err.Error())
}

// caused is an error with a status, and what this end has it for: that of a
// stream.Breaker.
type caused struct {
	error
	cause error
}

// GRPCStatus is for package status.
func (e *caused) GRPCStatus() *status.Status { return status.Convert(e.error) }

func (e *caused) Unwrap() []error { return []error{e.error, e.cause} }

// chainUnaryClient makes one interceptor of several, the first one outermost;
// nil of none.
func chainUnaryClient(all []grpc.UnaryClientInterceptor) grpc.UnaryClientInterceptor {
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	}
	first, rest := all[0], chainUnaryClient(all[1:])
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		inner := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, opts ...grpc.CallOption) error {
			return rest(ctx, method, req, reply, cc, invoke, opts...)
		}
		return first(ctx, method, req, reply, cc, inner, opts...)
	}
}

// chainStreamClient does the same for streams.
func chainStreamClient(all []grpc.StreamClientInterceptor) grpc.StreamClientInterceptor {
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	}
	first, rest := all[0], chainStreamClient(all[1:])
	return func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		inner := func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			return rest(ctx, desc, cc, method, open, opts...)
		}
		return first(ctx, desc, cc, method, inner, opts...)
	}
}
