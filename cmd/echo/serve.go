package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/echo"
)

// server is what both kinds have: package echo's and package rpc's.
type server interface {
	Addr() conn.Addr
	Runtime() *conn.Runtime
	Totals() echo.Totals
	Open() int
	Shutdown(ctx context.Context) error
	Close() error
}

// serve runs the server until ctx ends, which a signal does, and drains. stop
// gives signals their usual effect back, so that a second one ends the process.
func serve(ctx context.Context, stop func(), o options, out io.Writer) error {
	events := newTracer(o.trace)
	server, err := open(ctx, o, conn.Config{Loops: o.loops, Trace: events.trace()})
	if err != nil {
		return err
	}
	defer events.close() // after the server: deferred calls run last first
	defer server.Close()
	admin, err := serveAdmin(ctx, o.admin, server, o.face)
	if err != nil {
		return fmt.Errorf("-admin: %w", err)
	}
	defer admin.close()

	hello(out, o, server, admin.url)
	events.start(out)
	began := time.Now()
	<-ctx.Done()
	stop()
	return drain(out, server, o.drain, began)
}

// open starts the server that o asks for.
func open(ctx context.Context, o options, cfg conn.Config) (server, error) {
	if o.grpc != "" {
		return openGRPC(ctx, o, cfg)
	}
	at, err := resolve(ctx, o.listen)
	if err != nil {
		return nil, err
	}
	sockets, err := conn.ListenFDs()
	if err != nil {
		return nil, err
	}
	s, err := echo.Serve(echo.Config{
		Face: echo.Face(o.face), At: at, Sockets: sockets, Config: cfg, MaxIdle: o.idle,
	})
	if err != nil {
		return nil, listenAdvice("listen", at, err)
	}
	return s, nil
}

// hello says what can be done now.
func hello(out io.Writer, o options, s server, admin string) {
	at := reachable(s.Addr())
	how := o.face + " face"
	if rt := s.Runtime(); rt != nil {
		how += fmt.Sprintf(", loops: %d", len(rt.Stats().Loops))
	}
	fmt.Fprintf(out, "echo on %s (%s)\n\n", url(s.Addr()), how)
	if o.grpc != "" {
		helloGRPC(out, at)
	} else {
		helloBytes(out, at)
	}
	if admin != "" {
		fmt.Fprintf(out, "  look inside    %s (/metrics /stats /debug/pprof/)\n", admin)
	}
	fmt.Fprintf(out, "  end            Ctrl-C; connections have %v to end\n\n", o.drain)
}

func helloBytes(out io.Writer, at conn.Addr) {
	if at.IsUnix() {
		fmt.Fprintf(out, "  talk to it     nc -U %s\n", at)
	} else {
		fmt.Fprintf(out, "  talk to it     nc %v %d\n", at.IP.Addr(), at.IP.Port())
	}
	fmt.Fprintf(out, "  load           %s -drive %s -conns 64 -size 64 -pipeline 1 -for 5s\n", me(), driveable(at))
}

// drain ends the server and says what it did.
func drain(out io.Writer, s server, patience time.Duration, began time.Time) error {
	fmt.Fprintf(out, "\ndraining %s, for %v at most; a second signal ends at once\n", count(s.Open(), "connection"), patience)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	asked := time.Now()
	err := s.Shutdown(ctx)
	t := s.Totals()
	fmt.Fprintf(out, "drained in %v\n", time.Since(asked).Round(time.Millisecond))
	fmt.Fprintf(out, "total: %s, %s in, %s out, in %v\n", count(int(t.Conns), "connection"),
		volume(t.BytesIn), volume(t.BytesOut), time.Since(began).Round(time.Second))
	if err != nil {
		return fmt.Errorf("not every connection ended within %v, the rest was cut off (-drain): %w", patience, err)
	}
	return nil
}

// driveable is at as -drive takes it: plain for TCP.
func driveable(at conn.Addr) string {
	if at.IsUnix() {
		return url(at)
	}
	return at.String()
}

// me is how this program was called: by go run it has a name that is gone
// afterwards.
func me() string {
	if strings.Contains(os.Args[0], "/go-build") {
		return "go run ./cmd/echo"
	}
	return os.Args[0]
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// volume is n bytes for people: 999 B, 1.0 kB, 23.4 MB.
func volume(n uint64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n)/1000, 0
	for ; v >= 999.95 && unit < len(units)-1; unit++ {
		v /= 1000
	}
	return fmt.Sprintf("%.1f %cB", v, units[unit])
}

const units = "kMGTPE"
