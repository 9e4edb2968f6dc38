package main

import (
	"context"
	"fmt"
	"io"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/echo/rpc"
	"github.com/weir-go/weir/stream"
)

// openGRPC starts the server of -grpc.
func openGRPC(ctx context.Context, o options, cfg conn.Config) (server, error) {
	at, err := resolve(ctx, o.grpc)
	if err != nil {
		return nil, err
	}
	s, err := rpc.Serve(rpc.Config{At: at, Config: cfg, Stream: stream.Config{MaxIdle: o.idle}})
	if err != nil {
		return nil, listenAdvice("grpc", at, err)
	}
	return s, nil
}

// helloGRPC says how to talk to it. grpcurl is not part of this module:
// go install github.com/fullstorydev/grpcurl/cmd/grpcurl@latest
func helloGRPC(out io.Writer, at conn.Addr) {
	to := "-plaintext"
	if at.IsUnix() {
		to += " -unix"
	}
	fmt.Fprintf(out, "  what there is  grpcurl %s %s describe\n", to, at)
	fmt.Fprintf(out, "  talk to it     grpcurl %s -d '{\"text\":\"hello\"}' %s weir.echo.v1.Echo/Unary\n", to, at)
	fmt.Fprintf(out, "  hear it tick   grpcurl %s %s weir.echo.v1.Clock/Subscribe\n", to, at)
}
