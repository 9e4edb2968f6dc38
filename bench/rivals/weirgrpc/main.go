// Command weirgrpc is Weir's server of grpc.testing.BenchmarkService with protobuf messages: generated code that
// contrib/grpc serves, each stream on a goroutine while it is active; and the same by callbacks, which decode and
// encode on the loop and have no goroutine.
package main

import (
	"flag"
	"fmt"
	"net/netip"
	"os"

	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/protobuf/proto"

	"github.com/weir-go/weir/bench/internal/line"
	echoes "github.com/weir-go/weir/bench/rivals/internal/service"
	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/contrib/grpc"
	"github.com/weir-go/weir/stream"
)

func main() {
	inline := flag.Bool("inline", false, "serve the unary method on the loop")
	flag.Parse()
	if err := run(*inline); err != nil {
		fmt.Fprintln(os.Stderr, "weirgrpc:", err)
		os.Exit(1)
	}
}

func run(inline bool) error {
	rt, err := conn.Start(conn.Config{Loops: 1})
	if err != nil {
		return err
	}
	defer rt.Close()
	srv := grpc.NewServer(grpc.Config{
		Config: stream.Config{MaxStreams: 1 << 20},
		Inline: func(string) bool { return inline },
	})
	testpb.RegisterBenchmarkServiceServer(srv, echoes.Echo{})
	echo := &callback{}
	open := func(*stream.Stream) (stream.Handler, error) { return echo, nil }
	if err := srv.Core().Handle("/weir.Bench/Callback", stream.Method{Open: open}); err != nil {
		return err
	}
	listener, err := rt.Listen(conn.TCP(netip.MustParseAddrPort("127.0.0.1:0")), srv.Serve)
	if err != nil {
		return err
	}
	defer srv.Close()
	return line.Serve(os.Stdin, os.Stdout, listener.Addr().IP.String())
}

// callback echoes the payload of a decoded request in an encoded response. There is one loop, and callbacks of a loop
// come one at a time: one of these serves all streams, and keeps what it decodes into and encodes into.
type callback struct {
	req  testpb.SimpleRequest
	resp testpb.SimpleResponse
	out  []byte
}

func (c *callback) Message(st *stream.Stream, m []byte) (err error) {
	if err := proto.Unmarshal(m, &c.req); err != nil {
		return err
	}
	c.resp.Payload = c.req.Payload
	if c.out, err = (proto.MarshalOptions{}).MarshalAppend(c.out[:0], &c.resp); err != nil {
		return err
	}
	return st.Emit(c.out)
}

func (*callback) HalfClosed(st *stream.Stream) error { st.Finish(nil); return nil }
func (*callback) Closed(*stream.Stream, error)       {}
