//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package sock

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// patience bounds every wait in milliseconds; nothing waits that long unless
// it fails.
const patience = 30_000

// checkFDs fails the test when it leaves descriptors behind. Call it first.
func checkFDs(t *testing.T) {
	t.Helper()
	// The runtime's poller opens its own on first use.
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
	before, err := InUse()
	must(t, err)
	t.Cleanup(func() {
		after, err := InUse()
		must(t, err)
		if after != before {
			t.Errorf("%d descriptors before, %d after", before, after)
		}
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func parse(t testing.TB, s string) Addr {
	t.Helper()
	a, err := ParseAddr(s)
	must(t, err)
	return a
}

// closing closes fd with the test.
func closing(t testing.TB, fd int) int {
	t.Helper()
	t.Cleanup(func() {
		if err := Close(fd); err != nil {
			t.Error(err)
		}
	})
	return fd
}

// listening listens on url and returns where.
func listening(t testing.TB, url string, c ListenConfig) (int, Addr) {
	t.Helper()
	fd, err := Listen(parse(t, url), c)
	if err != nil && strings.Contains(url, "[") {
		t.Skipf("no IPv6: %v", err)
	}
	must(t, err)
	closing(t, fd)
	a, err := LocalAddr(fd)
	must(t, err)
	return fd, a
}

// ready waits until fd has one of events and returns what it has.
func ready(t testing.TB, fd int, events int16) int16 {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
	for {
		n, err := unix.Poll(fds, patience)
		if err == unix.EINTR {
			continue
		}
		must(t, err)
		if n == 0 {
			t.Fatalf("descriptor %d: no event of %#x", fd, events)
		}
		return fds[0].Revents
	}
}

// dialing connects to a and waits until the connection stands.
func dialing(t testing.TB, a Addr) int {
	t.Helper()
	fd, err := Socket(a)
	must(t, err)
	closing(t, fd)
	done, err := Connect(fd, a)
	must(t, err)
	for !done {
		ready(t, fd, unix.POLLOUT)
		err := ConnectResult(fd)
		if err == ErrInProgress {
			continue
		}
		must(t, err)
		done = true
	}
	return fd
}

// accepting takes the next connection of l.
func accepting(t testing.TB, l int, peer *Peer) int {
	t.Helper()
	ready(t, l, unix.POLLIN)
	fd, e := Accept(l, peer)
	if e != 0 {
		t.Fatal(e)
	}
	return closing(t, fd)
}

// connected returns both ends of a connection through a listener on url.
func connected(t testing.TB, url string) (client, server int) {
	t.Helper()
	l, a := listening(t, url, ListenConfig{})
	client = dialing(t, a)
	return client, accepting(t, l, nil)
}

func pairing(t testing.TB) (int, int) {
	t.Helper()
	p, err := Pair()
	must(t, err)
	return closing(t, p[0]), closing(t, p[1])
}

// urls are the kinds of sockets that the tests of the stream go through.
func urls(t testing.TB) []string {
	u := []string{"tcp://127.0.0.1:0", "tcp://[::1]:0", "unix://" + socketPath(t)}
	if hasAbstract {
		u = append(u, fmt.Sprint("unix://@weir-sock-test-", os.Getpid()))
	}
	return u
}

// socketPath is short, which t.TempDir is not everywhere.
func socketPath(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sock")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// recvAll reads n bytes, or up to the end of the stream.
func recvAll(t testing.TB, fd, n int) []byte {
	t.Helper()
	buf := make([]byte, n)
	for got := 0; got < n; {
		k, e := Recv(fd, buf[got:])
		if e == syscall.EAGAIN {
			ready(t, fd, unix.POLLIN)
			continue
		}
		if e != 0 {
			t.Fatal(e)
		}
		if k == 0 {
			return buf[:got]
		}
		got += k
	}
	return buf
}

func sendAll(t testing.TB, fd int, p []byte) {
	t.Helper()
	for len(p) > 0 {
		n, e := Send(fd, p)
		if e == syscall.EAGAIN {
			ready(t, fd, unix.POLLOUT)
			continue
		}
		if e != 0 {
			t.Fatal(e)
		}
		p = p[n:]
	}
}

func netipWithPort(ap netip.AddrPort, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(ap.Addr(), port)
}

// flags checks what the package promises of every descriptor.
func flags(t testing.TB, fd int) {
	t.Helper()
	fl, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	must(t, err)
	fdfl, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	must(t, err)
	if fl&unix.O_NONBLOCK == 0 || fdfl&unix.FD_CLOEXEC == 0 {
		t.Errorf("descriptor %d: nonblock %v, cloexec %v", fd, fl&unix.O_NONBLOCK != 0, fdfl&unix.FD_CLOEXEC != 0)
	}
}
