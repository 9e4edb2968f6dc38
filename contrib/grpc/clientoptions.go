package grpc

import (
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/weir-go/weir/stream"
)

// callOptions are grpc's call options, read.
type callOptions struct {
	stream.CallOptions
	subtype string
	codec   encoding.CodecV2 // nil: the subtype's
	creds   credentials.PerRPCCredentials

	// Where the outcome goes.
	headers  []*metadata.MD
	trailers []*metadata.MD
	peers    []*peer.Peer
	onFinish []func(error)
}

// with returns o and what opts add to it.
func (o callOptions) with(opts []grpc.CallOption) (callOptions, error) {
	for _, opt := range opts {
		if err := o.add(opt); err != nil {
			return o, err
		}
	}
	return o, nil
}

// add reads one option. Their type is closed: each is known by its own.
func (o *callOptions) add(opt grpc.CallOption) error {
	switch x := opt.(type) {
	case nil, grpc.EmptyCallOption, grpc.StaticMethodCallOption, grpc.MaxRetryRPCBufferSizeCallOption:
	case once:
		o.Retries = -1
	case grpc.HeaderCallOption:
		o.headers = append(o.headers[:len(o.headers):len(o.headers)], x.HeaderAddr)
	case grpc.TrailerCallOption:
		o.trailers = append(o.trailers[:len(o.trailers):len(o.trailers)], x.TrailerAddr)
	case grpc.PeerCallOption:
		o.peers = append(o.peers[:len(o.peers):len(o.peers)], x.PeerAddr)
	case grpc.OnFinishCallOption:
		o.onFinish = append(o.onFinish[:len(o.onFinish):len(o.onFinish)], x.OnFinish)
	case grpc.FailFastCallOption:
		o.WaitForReady = !x.FailFast
	case grpc.MaxRecvMsgSizeCallOption:
		o.MaxRecv = x.MaxRecvMsgSize
	case grpc.MaxSendMsgSizeCallOption:
		o.MaxSend = x.MaxSendMsgSize
	case grpc.AuthorityOverrideCallOption:
		o.Authority = x.Authority
	case grpc.PerRPCCredsCallOption:
		o.creds = x.Creds
	case grpc.CompressorCallOption:
		if o.Compressor = x.CompressorType; o.Compressor == encoding.Identity {
			o.Compressor = ""
		}
	case grpc.ContentSubtypeCallOption:
		o.subtype = x.ContentSubtype
	case grpc.ForceCodecCallOption:
		o.codec = oldCodec{x.Codec}
	case grpc.ForceCodecV2CallOption:
		o.codec = x.CodecV2
	case grpc.CustomCodecCallOption:
		o.codec = oldCodec{oldestCodec{x.Codec}}
	default:
		return status.Errorf(codes.Unimplemented, "grpc: the call option %T is not supported", opt)
	}
	return nil
}

// oldestCodec is a codec that gives its name as String.
type oldestCodec struct{ grpc.Codec }

func (c oldestCodec) Name() string { return c.String() }

// codecFor returns the codec and the content-type of a call.
func (o *callOptions) codecFor() (codec, string, error) {
	const contentType = "application/grpc"
	name := strings.ToLower(o.subtype)
	switch {
	case o.codec != nil && name == "":
		name = strings.ToLower(o.codec.Name())
		fallthrough
	case o.codec != nil:
		return codec{CodecV2: o.codec}, contentType + "+" + name, nil
	case name == "":
		return codecOf(contentType), contentType, nil
	case lookup(name) == nil:
		return codec{}, "", status.Errorf(codes.Internal, "no codec registered for content-subtype %s", name)
	}
	return codecOf(contentType + "+" + name), contentType + "+" + name, nil
}
