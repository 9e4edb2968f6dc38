// Package service is the part of grpc.testing.BenchmarkService that is the same code on every server of it: what
// protoc-gen-go-grpc wants implemented.
package service

import (
	"context"
	"errors"
	"io"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// Echo sends back the payload of each request.
type Echo struct {
	testpb.UnimplementedBenchmarkServiceServer
}

// UnaryCall answers one request.
func (Echo) UnaryCall(_ context.Context, req *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return &testpb.SimpleResponse{Payload: req.Payload}, nil
}

// StreamingCall answers requests until the client sends no more.
func (Echo) StreamingCall(ss testpb.BenchmarkService_StreamingCallServer) error {
	for {
		req, err := ss.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := ss.Send(&testpb.SimpleResponse{Payload: req.Payload}); err != nil {
			return err
		}
	}
}

// Lossy reports whether a subscriber asks for what it can take only: nobody may wait for it then.
func Lossy(req *testpb.SimpleRequest) bool {
	body := req.GetPayload().GetBody()
	return len(body) == 1 && body[0] == 1
}
