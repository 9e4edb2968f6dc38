package main

import (
	"flag"
	"fmt"
	"io"
	"net/netip"
	"runtime"

	"github.com/weir-go/weir/bench/internal/line"
	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/echo"
)

// serve is the server process of our own faces: one echo server and the line protocol, until its input ends.
func serve(args []string, in io.Reader, out io.Writer) error {
	f := flag.NewFlagSet("bench serve", flag.ContinueOnError)
	face := f.String("face", string(echo.Callback), "callback, blocking or std")
	buffer := f.Int("buffer", 4096, "bytes read at once by the faces that have a buffer a connection")
	if err := f.Parse(args); err != nil {
		return err
	}
	server, err := echo.Serve(echo.Config{
		Face:       echo.Face(*face),
		At:         conn.TCP(netip.MustParseAddrPort("127.0.0.1:0")),
		BufferSize: *buffer,
		Config:     conn.Config{Loops: runtime.GOMAXPROCS(0)},
	})
	if err != nil {
		return err
	}
	err = line.Serve(in, out, server.Addr().IP.String())
	if e := server.Close(); err == nil && e != nil {
		return fmt.Errorf("close: %w", e)
	}
	return err
}
