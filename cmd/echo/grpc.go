package main

import (
	"fmt"
	"io"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/health"
	"github.com/weir-go/weir/internal/echo/rpc"
	"github.com/weir-go/weir/stream"
)

// openGRPC starts the server of -grpc.
func openGRPC(at conn.Addr, sockets []int, well *health.Health, o options, cfg conn.Config) (server, error) {
	s, err := rpc.Serve(rpc.Config{
		At: at, Sockets: sockets, Config: cfg, Stream: stream.Config{MaxIdle: o.idle}, Health: well,
	})
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
