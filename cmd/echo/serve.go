package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/health"
	"github.com/weir-go/weir/internal/echo"
	"github.com/weir-go/weir/lifecycle"
	"github.com/weir-go/weir/restart"
)

// server is what both kinds have: package echo's and package rpc's.
type server interface {
	Addr() conn.Addr
	Runtime() *conn.Runtime
	Totals() echo.Totals
	Open() int
	Shutdown(ctx context.Context) error
	Close() error
	restart.Listener
}

// program is a server with what makes it a part of something larger: a health to
// ask for, and sockets that it has from a predecessor and hands to a successor.
type program struct {
	server
	health  *health.Health
	sockets *restart.Sockets
	admin   []int // sockets that there are for it already
}

// serve runs the server until ctx ends, which a signal does, or a successor has
// taken over, and drains. stop gives signals their usual effect back, so that a
// second one ends the process.
func serve(ctx context.Context, stop func(), o options, out io.Writer) error {
	sockets, err := restart.Begin(restart.Config{})
	if err != nil {
		return err
	}
	defer sockets.Close()
	p := &program{sockets: sockets, health: health.New(health.Config{})}
	events := newTracer(o.trace)
	if err := p.open(ctx, o, conn.Config{Loops: o.loops, KeepThread: o.hold, Trace: events.trace()}); err != nil {
		return err
	}
	defer events.close() // after the server: deferred calls run last first
	defer p.server.Close()
	admin, err := serveAdmin(ctx, o.admin, p, o.face)
	if err != nil {
		return fmt.Errorf("-admin: %w", err)
	}
	defer admin.close()

	began := time.Now()
	context.AfterFunc(ctx, stop)
	kit := lifecycle.Kit{
		Health: p.health, Notice: o.notice, Handover: sockets,
		Signals: []os.Signal{}, Restarts: []os.Signal{syscall.SIGUSR2}, // a terminal that closes sends SIGHUP
		Ready: func() {
			hello(out, o, p.server, admin.url)
			events.start(out)
		},
		Restarted: func(err error) { restarted(out, err) },
		Parts: []lifecycle.Part{{Name: "echo", Stage: lifecycle.Servers, Patience: max(o.drain, 1),
			Stop: func(ctx context.Context) error {
				stop() // also when no signal has come yet
				return p.drain(ctx, out, o.drain, began)
			}}},
	}
	return kit.Run(ctx)
}

// open starts the server that o asks for.
func (p *program) open(ctx context.Context, o options, cfg conn.Config) error {
	where := o.listen
	if o.grpc != "" {
		where = o.grpc
	}
	at, err := resolve(ctx, where)
	if err != nil {
		return err
	}
	sockets, err := p.inherited(ctx, o, at)
	if err != nil {
		return err
	}
	if o.grpc != "" {
		p.server, err = openGRPC(at, sockets, p.health, o, cfg)
	} else {
		p.server, err = openBytes(at, sockets, o, cfg)
	}
	if err != nil {
		return err
	}
	return p.sockets.Keep("echo", at, p.server)
}

// inherited is what there is to listen on already: all of a service manager's but
// the admin's.
func (p *program) inherited(ctx context.Context, o options, at conn.Addr) ([]int, error) {
	if o.admin != "" {
		admin, err := resolve(ctx, o.admin)
		if err != nil {
			return nil, fmt.Errorf("-admin: %w", err)
		}
		p.admin = p.sockets.Take("admin", admin)
	}
	if fds := p.sockets.Take("echo", at); len(fds) > 0 {
		return fds, nil
	}
	return p.sockets.Rest("echo"), nil
}

func openBytes(at conn.Addr, sockets []int, o options, cfg conn.Config) (server, error) {
	c := echo.Config{Face: echo.Face(o.face), At: at, Config: cfg, MaxIdle: o.idle}
	for _, fd := range sockets {
		c.Sockets = append(c.Sockets, conn.ListenFD{FD: fd})
	}
	s, err := echo.Serve(c)
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
		fmt.Fprintf(out, "  look inside    %s (/readyz /metrics /stats /debug/pprof/)\n", admin)
	}
	fmt.Fprintf(out, "  replace        kill -USR2 %d; a new process takes over, nobody is refused\n", os.Getpid())
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

// restarted says how an attempt to be replaced went.
func restarted(out io.Writer, err error) {
	if err != nil {
		fmt.Fprintf(out, "\nno successor, this process goes on: %v\n", err)
		return
	}
	fmt.Fprint(out, "\na successor serves\n")
}

// drain ends the server and says what it did.
func (p *program) drain(ctx context.Context, out io.Writer, patience time.Duration, began time.Time) error {
	fmt.Fprintf(out, "\ndraining %s, for %v at most; a second signal ends at once\n", count(p.Open(), "connection"), patience)
	asked := time.Now()
	err := p.Shutdown(ctx)
	t := p.Totals()
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
