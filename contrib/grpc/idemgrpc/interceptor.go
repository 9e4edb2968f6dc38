package idemgrpc

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/weir-go/weir/idem"
)

// Keys of metadata: what a client sends, and what it is told when the answer is
// that of another call.
const (
	KeyHeader      = "idempotency-key"
	ReplayedHeader = "idempotency-replayed"
)

// Interceptor runs a handler once for each key. Client, Operation and Policy
// must be set; nothing may be changed once it is in use.
type Interceptor struct {
	Client    *idem.Client
	Operation string // as in idem.Key, for all methods: a key used for two of them is a mismatch
	Policy    idem.Policy

	// Space tells clients apart who must not see each other's answers: the
	// account that the call was authenticated for. It has to be a plain word, as
	// in idem.Key. nil: all share one space.
	Space func(ctx context.Context) string

	// Methods says of a full method ("/package.Service/Method") whether keys
	// mean something for it; the others go to their handlers. nil: of all.
	Methods func(fullMethod string) bool

	Required bool // a call without a key is refused. false: it goes to its handler
}

// Unary is a grpc.UnaryServerInterceptor. Put it behind those that authenticate.
func (i *Interceptor) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if i.Methods != nil && !i.Methods(info.FullMethod) {
		return next(ctx, req)
	}
	keys := metadata.ValueFromIncomingContext(ctx, KeyHeader)
	switch {
	case len(keys) == 0 && !i.Required:
		return next(ctx, req)
	case len(keys) == 0:
		return nil, refusal(codes.InvalidArgument, ReasonMissing, KeyHeader+" is missing")
	case len(keys) > 1:
		return nil, refusal(codes.InvalidArgument, ReasonKey, "more than one "+KeyHeader)
	}
	request, err := fingerprinted(info.FullMethod, req)
	if err != nil {
		return nil, err
	}
	key := idem.Key{Operation: i.Operation, ID: keys[0]}
	if i.Space != nil {
		key.Space = i.Space(ctx)
	}
	return i.once(ctx, key, request, req, next)
}

// once is a call with a key.
func (i *Interceptor) once(ctx context.Context, key idem.Key, request []byte, req any, next grpc.UnaryHandler) (any, error) {
	var (
		ran  bool
		resp any
		said error
	)
	reply, err := i.Client.Do(ctx, key, request, i.Policy, func(ctx context.Context, a *idem.Attempt) ([]byte, error) {
		resp, said = next(context.WithValue(ctx, attemptKey{}, a), req)
		ran = true
		return result(resp, said)
	})
	switch {
	case ran: // whatever became of its record, this is the answer to this call
		return resp, said
	case err != nil:
		return nil, refused(err)
	}
	// A call whose transport has no headers any more is answered all the same.
	_ = grpc.SetHeader(ctx, metadata.Pairs(ReplayedHeader, "true"))
	return replay(reply.Result)
}

// fingerprinted is what makes a request the same as an earlier one. The encoding
// of a message is stable for one build of the message's package; a deployment
// that changes the order of its fields may take a repeated request for another.
func fingerprinted(method string, req any) ([]byte, error) {
	m, isProto := req.(proto.Message)
	if !isProto {
		return nil, status.Errorf(codes.Internal, "idemgrpc: request is a %T", req)
	}
	b, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend([]byte(method+"\n"), m)
	if err != nil {
		return nil, status.Errorf(codes.Internal, "idemgrpc: request: %v", err)
	}
	return b, nil
}

type attemptKey struct{}

// FromContext returns the attempt that a handler runs in, for its Fence and its
// Mark; nil when it runs without a key.
func FromContext(ctx context.Context) *idem.Attempt {
	a, _ := ctx.Value(attemptKey{}).(*idem.Attempt)
	return a
}

// outcome gives a handler's error the meaning that package idem asks for. final:
// it is stored, as an answer is.
func outcome(err error) (s *status.Status, final bool, meaning error) {
	s, has := status.FromError(err)
	if !has {
		s = status.FromContextError(err)
	}
	switch s.Code() {
	case codes.Unavailable, codes.ResourceExhausted, codes.Aborted, codes.Unauthenticated, codes.PermissionDenied:
		return s, false, idem.Transient(err)
	case codes.Canceled, codes.DeadlineExceeded, codes.Unknown, codes.Internal, codes.DataLoss,
		codes.OK: // of an error it says nothing
		return s, false, unmarked(err)
	}
	return s, true, nil
}

// unmarked is an error of which nobody knows what it means for the effect, even
// if the handler has one of idem's in it.
func unmarked(err error) error { return fmt.Errorf("idemgrpc: %s", err) }

var errStored = errors.New("idemgrpc: stored answer cannot be read")
