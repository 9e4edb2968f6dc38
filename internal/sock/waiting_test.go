//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package sock

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestWaiting(t *testing.T) {
	for _, url := range urls(t) {
		c, s := connected(t, url)
		if Waiting(s) {
			t.Errorf("%s: nothing was sent", url)
		}
		sendAll(t, c, []byte("x"))
		ready(t, s, unix.POLLIN)
		for range 2 { // looking does not take it
			if !Waiting(s) {
				t.Errorf("%s: a byte is there", url)
			}
		}
		if got := recvAll(t, s, 1); string(got) != "x" {
			t.Errorf("%s: Waiting took it, %q", url, got)
		}
		if Waiting(s) {
			t.Errorf("%s: the byte was read", url)
		}
		must(t, ShutdownWrite(c))
		ready(t, s, unix.POLLIN)
		if !Waiting(s) {
			t.Errorf("%s: the end is there", url)
		}
	}
	if !Waiting(-1) {
		t.Error("an error is there")
	}
}

func TestBindChoosesWhereFrom(t *testing.T) {
	checkFDs(t)
	for _, url := range []string{"tcp://127.0.0.1:0", "tcp://[::1]:0"} {
		l, a := listening(t, url, ListenConfig{})
		from := a
		from.IP = netipWithPort(a.IP, 0)
		fd, err := Socket(a)
		must(t, err)
		closing(t, fd)
		must(t, Bind(fd, from))
		_, err = Connect(fd, a)
		must(t, err)
		ready(t, fd, unix.POLLOUT)
		must(t, ConnectResult(fd))
		var peer Peer
		accepting(t, l, &peer)
		local, err := LocalAddr(fd)
		must(t, err)
		if local.IP.Port() == 0 || local != peer.Addr() || local.IP.Addr() != a.IP.Addr() {
			t.Errorf("from %v, peer %v", local, peer)
		}
	}
}

func TestUnlink(t *testing.T) {
	a := abandoned(t)
	Unlink(a)
	if _, err := os.Lstat(a.Path); !os.IsNotExist(err) {
		t.Error(err)
	}
	Unlink(a) // gone already
	Unlink(Addr{})
	Unlink(parse(t, "127.0.0.1:1"))
	t.Chdir(t.TempDir())
	must(t, os.WriteFile("@x", nil, 0o600))
	Unlink(Addr{Path: "@x"})
	if _, err := os.Lstat("@x"); err != nil {
		t.Errorf("an abstract name is no file: %v", err)
	}
}
