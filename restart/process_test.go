package restart_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/leak"
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
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// server is a program with three listeners, as one would write it.
type server struct {
	sockets  *restart.Sockets
	rt       *conn.Runtime
	echo     *conn.Listener
	file     *conn.Listener
	http     http.Server
	web      *netconn.Listener
	std      http.Server
	stdln    net.Listener
	requests int
}

// serve is the main function of the server. What it says is a line for each event:
// "ready GENERATION PID ADDRESS...", "restarted ERROR", "ended".
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
			fmt.Println("ready", s.sockets.Generation(), os.Getpid(), s.echo.Addr(), s.file.Addr(), s.web.Addr(), s.stdln.Addr())
		},
		Restarted: func(err error) { fmt.Println("restarted", err) },
	}
	err = kit.Run(context.Background())
	fmt.Println("ended", s.sockets.Generation(), err)
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

// line is a server and its successors, who write to one pipe.
type line struct {
	t     *testing.T
	out   chan string
	first *exec.Cmd

	ended                []string // what processes said at their end, since it was asked for
	pid                  int      // of who serves
	generation           int
	echo, file, web, std string
}

// begin starts the first process of a line.
func begin(t *testing.T, env ...string) *line {
	t.Helper()
	l := &line{t: t, out: make(chan string, 64), file: t.TempDir() + "/s"}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	l.first = exec.Command(os.Args[0])
	l.first.Env = append(append(os.Environ(), role+"=1", "RESTART_FILE="+l.file, "GORACE=atexit_sleep_ms=0"), env...)
	l.first.Stdout, l.first.Stderr = w, os.Stderr
	if err := l.first.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	go func() {
		defer close(l.out)
		defer r.Close()
		for in := bufio.NewScanner(r); in.Scan(); {
			l.out <- in.Text()
		}
	}()
	t.Cleanup(func() { l.end() })
	l.serves()
	return l
}

// end ends whoever is left; the pipe ends with the last.
func (l *line) end() {
	syscall.Kill(l.pid, syscall.SIGTERM)
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		select {
		case _, ok := <-l.out:
			if !ok {
				l.first.Wait()
				return
			}
		case <-late.C:
			l.t.Error("processes are left")
			syscall.Kill(l.pid, syscall.SIGKILL)
			l.first.Process.Kill()
			l.first.Wait()
			return
		}
	}
}

const patience = 30 * time.Second

// says waits for a line that begins with a word.
func (l *line) says(word string) (rest string) {
	l.t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		select {
		case s, ok := <-l.out:
			if !ok {
				l.t.Fatalf("all have ended without saying %s", word)
			}
			first, rest, _ := strings.Cut(s, " ")
			if first == word {
				return rest
			}
			if first == "ended" { // they take the time that they take
				l.ended = append(l.ended, rest)
			}
		case <-late.C:
			l.t.Fatalf("nobody says %s", word)
		}
	}
}

// ends waits until n processes have ended, and wants them to have done so in order.
func (l *line) ends(n int) {
	l.t.Helper()
	for len(l.ended) < n {
		l.ended = append(l.ended, l.says("ended"))
	}
	for _, how := range l.ended {
		if !strings.HasSuffix(how, " <nil>") {
			l.t.Errorf("a process has ended: %s", how)
		}
	}
}

// serves waits until a process says that it does, and notes which.
func (l *line) serves() {
	l.t.Helper()
	f := strings.Fields(l.says("ready"))
	l.generation, _ = strconv.Atoi(f[0])
	l.pid, _ = strconv.Atoi(f[1])
	l.echo, l.file, l.web, l.std = f[2], f[3], f[4], f[5]
}

func (l *line) signal(s syscall.Signal) {
	l.t.Helper()
	if err := syscall.Kill(l.pid, s); err != nil {
		l.t.Fatal(err)
	}
}
