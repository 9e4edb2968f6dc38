//go:build linux

package conn

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weir-go/weir/internal/sock"
)

// child runs this test binary again, to play another process.
func child(t *testing.T, test string, env []string, files ...*os.File) (*exec.Cmd, io.Writer, *bufio.Scanner) {
	t.Helper()
	// A shell, because only it knows the child's number in time.
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`,
		os.Args[0], "-test.run=^"+test+"$", "-test.timeout=60s")
	cmd.Env = append(append(os.Environ(), childKey+"="+test, "GORACE=atexit_sleep_ms=0"), env...)
	cmd.ExtraFiles = files
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close() // the child ends with its input
		if err := cmd.Wait(); err != nil {
			t.Errorf("child: %v", err)
		}
	})
	return cmd, in, bufio.NewScanner(out)
}

// line reads what the child says after a word of its own.
func line(t *testing.T, out *bufio.Scanner, word string) string {
	t.Helper()
	for out.Scan() {
		if rest, ok := strings.CutPrefix(out.Text(), word+" "); ok {
			return rest
		}
	}
	t.Fatalf("the child ended without saying %s", word)
	return ""
}

// TestDescriptorsRunOut runs a server out of descriptors. It must not spin, which
// is less than 5 % of a core, and accept again as soon as there are some.
func TestDescriptorsRunOut(t *testing.T) {
	const name = "TestDescriptorsRunOut"
	if inChild(name) {
		serveWithFew(t)
		return
	}
	cmd, in, out := child(t, name, nil)
	at, err := ParseAddr(line(t, out, "listening"))
	if err != nil {
		t.Fatal(err)
	}
	held := exhaust(t, at)

	t.Run("no spin", func(t *testing.T) {
		// Other processes may take the machine, which costs this one no time of
		// its own; a garbage collection may. A spin would show every time.
		for range 3 {
			part := busy(t, cmd.Process.Pid, at, 2*time.Second)
			t.Logf("%.1f %% of a core", 100*part)
			if part < 0.05 {
				return
			}
		}
		t.Error("5 % of a core or more, three times")
	})
	// Nothing tells the listener, whose pauses are at their longest by now.
	t.Run("back when others give descriptors back", func(t *testing.T) {
		again(t, at, func() { fmt.Fprintln(in, "release") })
		held = append(held, exhaust(t, at)...)
	})
	t.Run("back when a connection ends", func(t *testing.T) {
		again(t, at, func() { held[0].Close(); held[1].Close() })
	})
	for _, nc := range held {
		nc.Close()
	}
	fmt.Fprintln(in, "stats")
	if n, _ := strconv.Atoi(line(t, out, "refused")); n == 0 {
		t.Error("no refusals were counted")
	}
}

// serveWithFew is the server.
func serveWithFew(t *testing.T) {
	var spare []int // descriptors that are not the runtime's, to give back on demand
	for range 8 {
		fd, err := sock.Reserve()
		if err != nil {
			t.Fatal(err)
		}
		spare = append(spare, fd)
	}
	used, err := sock.InUse()
	if err != nil {
		t.Fatal(err)
	}
	few := &unix.Rlimit{Cur: uint64(used + 30), Max: uint64(used + 30)}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, few); err != nil {
		t.Fatal(err)
	}
	rt, err := Start(Config{Loops: 2, MaxConns: 1000})
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close()
	ln, err := rt.Listen(loopback, echoes)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("listening", ln.Addr())
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		switch in.Text() {
		case "release":
			for _, fd := range spare {
				sock.Close(fd)
			}
			spare = nil
		case "stats":
			fmt.Println("refused", rt.Stats().RefusedFDs)
		}
	}
	for _, fd := range spare {
		sock.Close(fd)
	}
}

// exhaust opens connections until the server answers none any more.
func exhaust(t *testing.T, at Addr) (held []net.Conn) {
	t.Helper()
	for range 100 {
		nc, err := visit(t, at)
		if err == nil {
			held = append(held, nc)
			continue
		}
		if !refused(err) {
			t.Fatalf("a peer that cannot be served heard %v", err)
		}
		return held
	}
	t.Fatal("the server does not run out of descriptors")
	return nil
}

// visit connects and asks; the connection is left open when it was served.
func visit(t *testing.T, at Addr) (net.Conn, error) {
	nc, err := net.Dial("tcp", at.String())
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patient))
	if err := ask(nc, "hello"); err != nil {
		nc.Close()
		return nil, err
	}
	return nc, nil
}

// busy is how much of a core a process uses while peers knock at its door.
func busy(t *testing.T, pid int, at Addr, window time.Duration) float64 {
	t.Helper()
	began, before := time.Now(), cpuTime(t, pid)
	for tick := time.NewTicker(50 * time.Millisecond); time.Since(began) < window; <-tick.C {
		if nc, err := net.Dial("tcp", at.String()); err == nil {
			nc.Close()
		}
	}
	return (cpuTime(t, pid) - before).Seconds() / time.Since(began).Seconds()
}

// cpuTime is what a process has used so far, from /proc/PID/stat: user and
// system time are the 14th and 15th field, in hundredths of a second.
func cpuTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// again releases descriptors and wants a peer to be served. How long that takes
// is shown, not judged: the longest pause of a listener has a test of its own.
func again(t *testing.T, at Addr, release func()) {
	t.Helper()
	release()
	began := time.Now()
	for time.Since(began) < patient {
		nc, err := visit(t, at)
		if err == nil {
			nc.Close()
			t.Logf("served %v after descriptors came free", time.Since(began))
			return
		}
		if !refused(err) {
			t.Fatal(err)
		}
	}
	t.Error("not served at all")
}

// TestListenFDs takes over the listener that another process has opened.
func TestListenFDs(t *testing.T) {
	const name = "TestListenFDs"
	if inChild(name) {
		serveActivated(t)
		return
	}
	nl, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer nl.Close()
	file, err := nl.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	_, in, out := child(t, name, []string{"LISTEN_FDS=1", "LISTEN_FDNAMES=web"}, file)
	if got := line(t, out, "serving"); got != "web" {
		t.Errorf("the descriptor's name is %q", got)
	}
	at, _ := ParseAddr(nl.Addr().String())
	for range 4 {
		mustAsk(t, dial(t, at), "hello")
	}
	// Its Close does not end the socket, which is ours as well.
	fmt.Fprintln(in, "close")
	line(t, out, "closed")
	nc := dial(t, at)
	conn, err := nl.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	nc.Close()
	fmt.Fprintln(in, "stale")
	if got := line(t, out, "stale"); got != "0" {
		t.Errorf("the closed listener heard of %s connections", got)
	}
}

func serveActivated(t *testing.T) {
	rt, err := Start(Config{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close()
	fds, err := ListenFDs()
	if err != nil || len(fds) != 1 {
		t.Fatalf("inherited %v, %v", fds, err)
	}
	if os.Getenv("LISTEN_FDS") != "" {
		t.Error("LISTEN_FDS is passed on to children")
	}
	ln, err := ListenConfig{}.Adopt(rt, fds[0].FD, echoes)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("serving", fds[0].Name)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		switch in.Text() {
		case "close":
			ln.Close()
			fmt.Println("closed -")
		case "stale":
			turnAll(t, rt)
			n := uint64(0)
			for _, l := range rt.Stats().Loops {
				n += l.Stale
			}
			fmt.Println("stale", n)
		}
	}
}

// A process that cannot have the descriptors of its loops starts none, and
// leaves none behind.
func TestStartWithoutDescriptors(t *testing.T) {
	const name = "TestStartWithoutDescriptors"
	if !inChild(name) {
		_, _, out := child(t, name, nil)
		line(t, out, "tried")
		return
	}
	used, err := sock.InUse()
	if err != nil {
		t.Fatal(err)
	}
	for more := range 12 {
		few := &unix.Rlimit{Cur: uint64(used + more), Max: 1024}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, few); err != nil {
			t.Fatal(err)
		}
		rt, err := Start(Config{Loops: 3, MaxConns: 10})
		if err == nil {
			rt.Close()
		} else if !isErrno(err, syscall.EMFILE) {
			t.Error(err)
		}
		if now, err := sock.InUse(); err == nil && now != used {
			t.Fatalf("with %d descriptors: %d were left open", more, now-used)
		}
	}
	fmt.Println("tried -")
}
