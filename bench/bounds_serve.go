package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"time"

	"github.com/weir-go/weir/bench/internal/line"
	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/stream"
)

// serveBounded is the server process of the area bounds: it echoes bytes, or messages on streams, with or without all
// that keeps a process within what it may hold, which it is far from here.
func serveBounded(args []string, in io.Reader, out io.Writer) error {
	f := flag.NewFlagSet("bench bounded", flag.ContinueOnError)
	what := f.String("serve", "bytes", "bytes or streams")
	on := f.Bool("on", false, "with bounds, a guard and what is expected of peers from elsewhere")
	f.Int("buffer", 0, "of no use here")
	if err := f.Parse(args); err != nil {
		return err
	}
	cfg, door, streams := conn.Config{Loops: runtime.GOMAXPROCS(0)}, conn.ListenConfig{}, stream.Config{MaxStreams: 1 << 20}
	if *on {
		b, err := bounds.New(bounds.Config{})
		if err != nil {
			return err
		}
		defer b.Close()
		if door.Guard, err = roomyGuard(); err != nil {
			return err
		}
		cfg.Bounds, streams.Admit = b, b
		door.FirstByte, door.MinRate = 30*time.Second, conn.Rate{Bytes: 240, Grace: 10 * time.Second} // as for the world
	}
	serve := conn.Serve(func(*conn.Conn) conn.Handler { return parrot{} })
	if *what == "streams" {
		srv := stream.NewServer(streams)
		if err := serveEcho(srv); err != nil {
			return err
		}
		serve = srv.Serve
	}
	rt, err := conn.Start(cfg)
	if err != nil {
		return err
	}
	listener, err := door.Listen(rt, conn.TCP(netip.MustParseAddrPort("127.0.0.1:0")), serve)
	if err == nil {
		err = line.Serve(in, out, listener.Addr().IP.String())
	}
	if s := rt.Stats(); s.RefusedBounds+s.RefusedGuard+s.Farewells+s.IdleCloses+s.SlowCloses > 0 {
		err = errors.Join(err, fmt.Errorf("somebody was refused: %+v", s))
	}
	return errors.Join(err, rt.Close())
}

// roomyGuard looks at everything and refuses nothing of what a driver does.
func roomyGuard() (*bounds.Guard, error) {
	return bounds.NewGuard(bounds.GuardConfig{
		Deny:  []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24")},
		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")},
		Conns: 1 << 20, Rate: 1e8, Burst: 1 << 20, Accepts: 1e8, Crowd: 1 << 20,
	})
}

// parrot sends back what has come.
type parrot struct{}

func (parrot) Data(c *conn.Conn) error {
	n, err := c.Write(c.Peek())
	c.Discard(n)
	return err
}

func (parrot) Closed(*conn.Conn, error) {}

// serveEcho serves streams and calls that echo messages as they are.
func serveEcho(srv *stream.Server) error {
	return errors.Join(
		srv.Handle(bidiPath, stream.Method{Open: func(*stream.Stream) (stream.Handler, error) { return mirror{}, nil }}),
		srv.Handle(unaryPath, stream.Method{Unary: func(_ *stream.Stream, m []byte) ([]byte, error) { return m, nil }}))
}
