package restart_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/leak"
	"github.com/weir-go/weir/internal/restarttest"
	"github.com/weir-go/weir/lifecycle"
	"github.com/weir-go/weir/netconn"
	"github.com/weir-go/weir/restart"
)

// The tests are about processes: the server is this program, started again by them
// and then by itself.
const role = "RESTART_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(role) == "" {
		leak.Main(m)
		return
	}
	main := serve
	if os.Getenv(topicDir) != "" {
		main = serveNews
	}
	if err := main(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// server is a program with three listeners, as one would write it.
type server struct {
	sockets *restart.Sockets
	rt      *conn.Runtime
	echo    *conn.Listener
	file    *conn.Listener
	http    http.Server
	web     *netconn.Listener
	std     http.Server
	stdln   net.Listener
}

// serve is the main function of the server. What it says is a line for each event:
// those of package restarttest, "restarted ERROR", "waiting PID".
func serve() error {
	s := &server{}
	var err error
	cfg := restart.Config{Patience: 20 * time.Second}
	if p, ok := os.LookupEnv("RESTART_PATIENCE"); ok {
		cfg.Patience, _ = time.ParseDuration(p)
	}
	if env, ok := os.LookupEnv("RESTART_NEXT"); ok { // what the next one is told to do
		cfg.Env = append(os.Environ(), "RESTART_DO="+env)
	}
	if s.sockets, err = restart.Begin(cfg); err != nil {
		return err
	}
	switch os.Getenv("RESTART_DO") {
	case "die":
		os.Exit(7)
	case "wait": // until it is killed
		fmt.Println("waiting", os.Getpid())
		select {}
	}
	kit := lifecycle.Kit{
		Handover: s.sockets,
		Parts: []lifecycle.Part{
			{Name: "runtime", Stage: lifecycle.Sockets, Open: s.start,
				Stop: func(context.Context) error { return s.rt.Close() }},
			{Name: "servers", Stage: lifecycle.Servers, Open: s.listen, Stop: s.drain},
		},
		Ready: func() {
			restarttest.Ready(s.sockets.Generation(), s.echo.Addr(), s.file.Addr(), s.web.Addr(), s.stdln.Addr())
		},
		Restarted: func(err error) { fmt.Println("restarted", err) },
	}
	err = kit.Run(context.Background())
	restarttest.Ended(s.sockets.Generation(), err)
	return err
}

func (s *server) start(context.Context) (err error) {
	s.rt, err = conn.Start(conn.Config{Loops: 2})
	return err
}

func (s *server) listen(context.Context) (err error) {
	local := conn.TCP(netip.MustParseAddrPort("127.0.0.1:0"))
	echo := func(*conn.Conn) conn.Handler { return answer{} }
	lc := conn.ListenConfig{Balance: conn.PerLoop}
	if s.echo, err = s.sockets.Listen(s.rt, "echo", lc, local, echo); err != nil {
		return err
	}
	path := conn.Unix(os.Getenv("RESTART_FILE"))
	if s.file, err = s.sockets.Listen(s.rt, "file", conn.ListenConfig{}, path, echo); err != nil {
		return err
	}
	s.web, err = restart.Open(s.sockets, "web", local,
		func() (*netconn.Listener, error) { return netconn.Listen(s.rt, local) },
		func(fd int) (*netconn.Listener, error) { return netconn.ListenConfig{}.Adopt(s.rt, fd) })
	if err != nil {
		return err
	}
	std, err := restart.Open(s.sockets, "std", local, listenStd, adoptStd)
	if err != nil {
		return err
	}
	s.stdln = std.L
	who := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getpid()) })
	s.http.Handler, s.std.Handler = who, who
	go s.http.Serve(s.web)
	go s.std.Serve(s.stdln)
	return nil
}

func listenStd() (n restart.NetListener[*net.TCPListener], err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return n, err
	}
	return restart.Net(l.(*net.TCPListener)), nil
}

func adoptStd(fd int) (n restart.NetListener[*net.TCPListener], err error) {
	f := os.NewFile(uintptr(fd), "std")
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return n, err
	}
	return restart.Net(l.(*net.TCPListener)), nil
}

// drain ends the listeners and then the connections.
func (s *server) drain(ctx context.Context) error {
	s.echo.Drain()
	s.file.Drain()
	return errors.Join(s.http.Shutdown(ctx), s.std.Shutdown(ctx), s.rt.Shutdown(ctx))
}

// answer sends each byte back. Its peers finish: a drain waits for them.
type answer struct{}

func (answer) Data(c *conn.Conn) error {
	n, err := c.Write(c.Peek())
	c.Discard(n)
	return err
}
func (answer) Shutdown(*conn.Conn)      {}
func (answer) Closed(*conn.Conn, error) {}

// line is a server and its successors, with where they listen.
type line struct {
	*restarttest.Line
	echo, file, web, std string
}

func begin(t *testing.T, env ...string) *line {
	t.Helper()
	env = append(env, role+"=1", "RESTART_FILE="+t.TempDir()+"/s")
	return where(restarttest.Begin(t, env...))
}

func where(l *restarttest.Line) *line {
	return &line{l, l.Addrs[0], l.Addrs[1], l.Addrs[2], l.Addrs[3]}
}
