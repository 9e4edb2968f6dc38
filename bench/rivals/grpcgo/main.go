// Command grpcgo is grpc-go's server of grpc.testing.BenchmarkService, as it is usually written: an echo of both sides
// and of one message, and news for whoever subscribes, in one of three patterns.
//
//	chan    a channel for each subscriber, whose handler sends what it finds there: the usual one
//	prep    the same, with a message that is encoded once (grpc.PreparedMsg)
//	direct  the publisher itself sends the encoded message to one subscriber after the other
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"

	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/weir-go/weir/bench/internal/line"
	"github.com/weir-go/weir/bench/internal/news"
	echoes "github.com/weir-go/weir/bench/rivals/internal/service"
)

func main() {
	pattern := flag.String("pattern", "chan", "chan, prep or direct")
	workers := flag.Uint("workers", 0, "grpc.NumStreamWorkers; 0: a goroutine for each stream")
	size := flag.Int("size", 64, "bytes of a published body")
	flag.Parse()
	if err := run(*pattern, uint32(*workers), *size); err != nil {
		fmt.Fprintln(os.Stderr, "grpcgo:", err)
		os.Exit(1)
	}
}

func run(pattern string, workers uint32, size int) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := &service{pattern: pattern}
	srv := grpc.NewServer(grpc.NumStreamWorkers(workers))
	testpb.RegisterBenchmarkServiceServer(srv, s)
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(listener) }()
	press := news.Press{Size: size, Subscribers: s.len, Publish: s.publish}
	if err := line.Serve(os.Stdin, os.Stdout, listener.Addr().String(), press.Answer); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	default:
		return nil // the process ends, and with it everything else
	}
}

type service struct {
	echoes.Echo
	pattern string

	mu   sync.Mutex
	subs []*sub // replaced, never changed: publish reads it without mu held
}

// sub is a subscriber. One that asked for what it can take only has a channel in every pattern: nobody may wait for it.
type sub struct {
	stream testpb.BenchmarkService_StreamingFromServerServer
	queue  chan any // nil: the publisher sends
	lossy  bool
}

// queued is how many messages may wait for a handler.
const queued = 8

func (s *service) StreamingFromServer(req *testpb.SimpleRequest, ss testpb.BenchmarkService_StreamingFromServerServer) error {
	one := &sub{stream: ss, lossy: echoes.Lossy(req)}
	if s.pattern != "direct" || one.lossy {
		one.queue = make(chan any, queued)
	}
	s.change(func(subs []*sub) []*sub { return append(subs, one) })
	defer s.change(func(subs []*sub) []*sub {
		return slices.DeleteFunc(slices.Clone(subs), func(o *sub) bool { return o == one })
	})
	for {
		select {
		case m := <-one.queue:
			if err := ss.SendMsg(m); err != nil {
				return err
			}
		case <-ss.Context().Done():
			return ss.Context().Err()
		}
	}
}

func (s *service) change(f func([]*sub) []*sub) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subs = f(s.subs)
}

func (s *service) list() []*sub {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.subs
}

func (s *service) len() int { return len(s.list()) }

// publish sends to all. Streams come before the first message and go after the last, so the list stays.
func (s *service) publish(_ context.Context, body []byte) error {
	subs := s.list()
	var m any = &testpb.SimpleResponse{Payload: &testpb.Payload{Body: body}}
	if s.pattern != "chan" && len(subs) > 0 {
		p := &grpc.PreparedMsg{}
		if err := p.Encode(subs[0].stream, m); err != nil {
			return err
		}
		m = p
	}
	for _, one := range subs {
		switch {
		case one.queue == nil:
			if err := one.stream.SendMsg(m); err != nil {
				return err
			}
		case one.lossy:
			select {
			case one.queue <- m:
			default:
			}
		default:
			one.queue <- m
		}
	}
	return nil
}
