//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package sock

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/weir-go/weir/internal/ports"
)

// abandoned leaves a socket file that nobody listens on.
func abandoned(t *testing.T) Addr {
	t.Helper()
	a := Addr{Path: socketPath(t)}
	fd, err := Listen(a, ListenConfig{})
	must(t, err)
	must(t, Close(fd))
	if _, err := os.Lstat(a.Path); err != nil {
		t.Fatalf("the socket file should outlive its listener: %v", err)
	}
	return a
}

func TestStaleSocketFileIsReplaced(t *testing.T) {
	checkFDs(t)
	a := abandoned(t)
	l, err := Listen(a, ListenConfig{})
	must(t, err)
	closing(t, l)
	dialing(t, a)
	accepting(t, l, nil)
}

func TestLiveSocketFileIsKept(t *testing.T) {
	checkFDs(t)
	l, a := listening(t, "unix://"+socketPath(t), ListenConfig{})
	if fd, err := Listen(a, ListenConfig{}); fd != -1 || !errors.Is(err, unix.EADDRINUSE) {
		t.Fatalf("%d, %v", fd, err)
	}
	accepting(t, l, nil) // the probe
	dialing(t, a)
	accepting(t, l, nil)
}

// A listener whose queue is full is busy, not dead.
func TestBusySocketFileIsKept(t *testing.T) {
	checkFDs(t)
	l, a := listening(t, "unix://"+socketPath(t), ListenConfig{Backlog: 1})
	full := false
	for range 16 {
		fd, err := Socket(a)
		must(t, err)
		closing(t, fd)
		if _, err := Connect(fd, a); err != nil {
			full = true
			break
		}
	}
	if !full {
		t.Skip("this system's queue does not fill")
	}
	if fd, err := Listen(a, ListenConfig{}); fd != -1 || !errors.Is(err, unix.EADDRINUSE) {
		t.Fatalf("%d, %v", fd, err)
	}
	accepting(t, l, nil)
}

func TestOtherFilesAreKept(t *testing.T) {
	checkFDs(t)
	a := Addr{Path: socketPath(t)}
	must(t, os.WriteFile(a.Path, []byte("precious"), 0o600))
	if fd, err := Listen(a, ListenConfig{}); fd != -1 || !errors.Is(err, unix.EADDRINUSE) {
		t.Fatalf("%d, %v", fd, err)
	}
	if b, err := os.ReadFile(a.Path); string(b) != "precious" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestDatagramSocketFileIsKept(t *testing.T) {
	path := socketPath(t)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	must(t, err)
	closing(t, fd)
	must(t, unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
	if fd, err := Listen(Addr{Path: path}, ListenConfig{}); fd != -1 || !errors.Is(err, unix.EADDRINUSE) {
		t.Fatalf("%d, %v", fd, err)
	}
}

func TestUnixMode(t *testing.T) {
	for _, mode := range []uint32{0o600, 0o666, 0o622} {
		_, a := listening(t, "unix://"+socketPath(t), ListenConfig{UnixMode: mode})
		fi, err := os.Lstat(a.Path)
		must(t, err)
		if got := uint32(fi.Mode().Perm()); got != mode {
			t.Errorf("mode %o, want %o", got, mode)
		}
	}
}

func TestListenBadPaths(t *testing.T) {
	checkFDs(t)
	for _, path := range []string{strings.Repeat("x", 200), "a\x00b", "x" + strings.Repeat("y", maxPath)} {
		if fd, err := Listen(Addr{Path: path}, ListenConfig{}); fd != -1 || !errors.Is(err, ErrAddr) {
			t.Errorf("%q: %d, %v", path, fd, err)
		}
	}
	if fd, err := Listen(Addr{Path: "/no/such/dir/s"}, ListenConfig{}); fd != -1 || !errors.Is(err, unix.ENOENT) {
		t.Errorf("%d, %v", fd, err)
	}
	if fd, err := Listen(Addr{}, ListenConfig{}); fd != -1 || !errors.Is(err, ErrAddr) {
		t.Errorf("%d, %v", fd, err)
	}
}

func TestLongestPath(t *testing.T) {
	dir := strings.TrimSuffix(socketPath(t), "s")
	path := dir + strings.Repeat("x", maxPath-len(dir))
	_, a := listening(t, "unix://"+path, ListenConfig{})
	if a.Path != path {
		t.Errorf("%q", a.Path)
	}
	dialing(t, a)
}

func TestPortTaken(t *testing.T) {
	checkFDs(t)
	_, a := listening(t, "127.0.0.1:0", ListenConfig{})
	if fd, err := Listen(a, ListenConfig{}); fd != -1 || !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("%d, %v", fd, err)
	}
	if fd, err := Listen(a, ListenConfig{ReusePort: true}); fd != -1 || !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("sharing with one that does not share: %d, %v", fd, err)
	}
}

// A server that restarts finds its port in TIME_WAIT.
func TestPortIsFreeAfterRestart(t *testing.T) {
	checkFDs(t)
	a := Addr{IP: ports.Hold(t)}
	l, err := Listen(a, ListenConfig{})
	must(t, err)
	c := dialing(t, a)
	s, e := Accept(l, nil)
	if e != 0 {
		t.Fatal(e)
	}
	must(t, Close(s)) // closes first: its side keeps the TIME_WAIT
	must(t, Close(l))
	if got := recvAll(t, c, 1); len(got) != 0 {
		t.Fatalf("%q", got)
	}
	must(t, ShutdownWrite(c))
	l, err = Listen(a, ListenConfig{})
	must(t, err)
	must(t, Close(l))
}

// A listener for IPv6 only lets somebody else have its port for IPv4; some ports
// others have already.
func TestV6OnlyLeavesIPv4Alone(t *testing.T) {
	checkFDs(t)
	var err error
	for range 20 {
		_, a := listening(t, "tcp://[::]:0", ListenConfig{V6Only: true})
		v4 := parse(t, "127.0.0.1:1")
		v4.IP = netipWithPort(v4.IP, a.IP.Port())
		var l int
		if l, err = Listen(v4, ListenConfig{}); err == nil {
			must(t, Close(l))
			return
		}
		if !errors.Is(err, unix.EADDRINUSE) {
			break
		}
	}
	t.Errorf("IPv4 beside a listener for IPv6 only: %v", err)
}

func TestReusePortShares(t *testing.T) {
	checkFDs(t)
	const clients = 64
	l1, a := listening(t, "127.0.0.1:0", ListenConfig{ReusePort: true})
	l2, err := Listen(a, ListenConfig{ReusePort: true})
	must(t, err)
	closing(t, l2)
	for range clients {
		dialing(t, a)
	}
	count := map[int]int{}
	for total := 0; total < clients; total++ {
		fds := []unix.PollFd{{Fd: int32(l1), Events: unix.POLLIN}, {Fd: int32(l2), Events: unix.POLLIN}}
		if n, err := unix.Poll(fds, patience); n == 0 || err != nil {
			t.Fatalf("%d of %d connections, %v", total, clients, err)
		}
		from := l1
		if fds[0].Revents == 0 {
			from = l2
		}
		accepting(t, from, nil)
		count[from]++
	}
	spreads := runtime.GOOS == "linux" || runtime.GOOS == "freebsd" || runtime.GOOS == "dragonfly"
	if spreads && (count[l1] == 0 || count[l2] == 0) {
		t.Errorf("%d to one, %d to the other", count[l1], count[l2])
	}
}
