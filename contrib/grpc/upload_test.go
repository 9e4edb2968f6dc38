package grpc_test

import (
	"context"
	"sync"
	"testing"

	stock "google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/weir-go/weir/contrib/grpc"
)

type uploads struct {
	testgrpc.UnimplementedTestServiceServer
}

func (uploads) UnaryCall(_ context.Context, req *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return &testpb.SimpleResponse{Payload: &testpb.Payload{Body: req.Payload.Body[:1]}}, nil
}

// A hundred large requests at once on one connection are far more than a
// session may hold, and none is refused.
func TestUploadsTogether(t *testing.T) {
	_, _, addr := serve(t, grpc.Config{}, func(r stock.ServiceRegistrar) { testgrpc.RegisterTestServiceServer(r, uploads{}) })
	cc, err := stock.NewClient(addr, stock.WithTransportCredentials(insecure.NewCredentials()))
	ok(t, err)
	defer cc.Close()
	client := testgrpc.NewTestServiceClient(cc)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req := &testpb.SimpleRequest{Payload: &testpb.Payload{Body: make([]byte, 1<<20)}}
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if _, err := client.UnaryCall(ctx, req); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
