//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package sock

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/weir-go/weir/internal/ports"
)

func TestConnectAcceptTalk(t *testing.T) {
	for _, url := range urls(t) {
		t.Run(url, func(t *testing.T) {
			checkFDs(t)
			l, a := listening(t, url, ListenConfig{})
			c := dialing(t, a)
			peer := PeerOf(parse(t, "9.9.9.9:9").IP) // must be overwritten
			s := accepting(t, l, &peer)
			for _, fd := range []int{l, c, s} {
				flags(t, fd)
			}
			sendAll(t, c, []byte("ping"))
			if got := recvAll(t, s, 4); string(got) != "ping" {
				t.Errorf("server got %q", got)
			}
			sendAll(t, s, []byte("pong"))
			if got := recvAll(t, c, 4); string(got) != "pong" {
				t.Errorf("client got %q", got)
			}
			checkNames(t, c, s, a, peer)
		})
	}
}

// checkNames: what each end says of itself, the other says of its peer.
func checkNames(t *testing.T, c, s int, a Addr, peer Peer) {
	t.Helper()
	name := func(f func(int) (Addr, error), fd int) Addr {
		t.Helper()
		a, err := f(fd)
		must(t, err)
		return a
	}
	if got := name(RemoteAddr, c); got != a {
		t.Errorf("client's remote %v, want %v", got, a)
	}
	if got := name(LocalAddr, s); got != a {
		t.Errorf("server's local %v, want %v", got, a)
	}
	local := name(LocalAddr, c)
	if got := name(RemoteAddr, s); got != local || peer.Addr() != local {
		t.Errorf("server's remote %v, accepted %v, want %v", got, peer, local)
	}
	if a.IsUnix() == local.IsValid() {
		t.Errorf("client's local %+v", local)
	}
}

func TestMappedPeersAreIPv4(t *testing.T) {
	checkFDs(t)
	l, a := listening(t, "tcp://[::]:0", ListenConfig{})
	v4 := parse(t, "127.0.0.1:1")
	v4.IP = netipWithPort(v4.IP, a.IP.Port())
	c := dialing(t, v4)
	var peer Peer
	s := accepting(t, l, &peer)
	checkNames(t, c, s, v4, peer)
	if !peer.AddrPort().Addr().Is4() {
		t.Errorf("peer %v", peer)
	}
}

func TestConnectToUnspecifiedIsLoopback(t *testing.T) {
	for _, url := range []string{"tcp://127.0.0.1:0", "tcp://[::1]:0"} {
		l, a := listening(t, url, ListenConfig{})
		to := parse(t, "0.0.0.0:1")
		if a.IP.Addr().Is6() {
			to = parse(t, "[::]:1")
		}
		to.IP = netipWithPort(to.IP, a.IP.Port())
		dialing(t, to)
		accepting(t, l, nil)
	}
}

func TestToLoopback(t *testing.T) {
	for in, want := range map[string]string{
		"0.0.0.0:7": "127.0.0.1:7", "[::]:7": "[::1]:7", "[::ffff:0.0.0.0]:7": "127.0.0.1:7",
		"127.0.0.2:7": "127.0.0.2:7", "[fe80::1%2]:7": "[fe80::1%2]:7", "unix://0": "0",
	} {
		if got := toLoopback(parse(t, in)).String(); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestConnectRefused(t *testing.T) {
	checkFDs(t)
	a := Addr{IP: ports.Hold(t)}
	fd, err := Socket(a)
	must(t, err)
	closing(t, fd)
	done, err := Connect(fd, a)
	if err == nil && !done {
		ready(t, fd, unix.POLLOUT)
		err = ConnectResult(fd)
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("done %v, %v", done, err)
	}
	if sys := new(os.SyscallError); !errors.As(err, &sys) || sys.Syscall != "connect" {
		t.Errorf("%v does not name the call", err)
	}
}

func TestConnectUnixNobodyThere(t *testing.T) {
	a := Addr{Path: socketPath(t)}
	fd, err := Socket(a)
	must(t, err)
	closing(t, fd)
	if done, err := Connect(fd, a); done || !errors.Is(err, unix.ENOENT) {
		t.Errorf("done %v, %v", done, err)
	}
}

// A listener whose queue is full lets the handshake hang, which is the only
// way to see one in progress on loopback.
func TestConnectResultWhileInProgress(t *testing.T) {
	checkFDs(t)
	l, a := listening(t, "127.0.0.1:0", ListenConfig{Backlog: 1})
	hanging := -1
	for range 16 {
		fd, err := Socket(a)
		must(t, err)
		closing(t, fd)
		_, err = Connect(fd, a)
		must(t, err)
		if ConnectResult(fd) == ErrInProgress {
			hanging = fd
			break
		}
	}
	if hanging < 0 {
		t.Skip("this system lets everybody in")
	}
	if _, err := RemoteAddr(hanging); !errors.Is(err, unix.ENOTCONN) {
		t.Errorf("remote address while in progress: %v", err)
	}
	for range 2 { // room in the queue; the kernel repeats the SYN within seconds
		accepting(t, l, nil)
	}
	ready(t, hanging, unix.POLLOUT)
	if err := ConnectResult(hanging); err != nil {
		t.Error(err)
	}
	for range 2 { // Linux says yes once more, then EISCONN
		if done, err := Connect(hanging, a); !done || err != nil {
			t.Errorf("connect again: %v, %v", done, err)
		}
	}
}

func TestUnconnectedIsInProgress(t *testing.T) {
	fd, err := Socket(parse(t, "127.0.0.1:1"))
	must(t, err)
	closing(t, fd)
	if err := ConnectResult(fd); err != ErrInProgress {
		t.Error(err)
	}
}

func TestAcceptNobody(t *testing.T) {
	l, _ := listening(t, "127.0.0.1:0", ListenConfig{})
	if fd, e := Accept(l, nil); fd != -1 || e != syscall.EAGAIN {
		t.Errorf("%d, %v", fd, e)
	}
}

func TestHalfClose(t *testing.T) {
	for _, url := range urls(t) {
		t.Run(url, func(t *testing.T) {
			checkFDs(t)
			c, s := connected(t, url)
			sendAll(t, c, []byte("last words"))
			must(t, ShutdownWrite(c))
			if got := recvAll(t, s, 100); string(got) != "last words" {
				t.Errorf("server got %q", got)
			}
			if n, e := Recv(s, make([]byte, 1)); n != 0 || e != 0 {
				t.Errorf("end of stream: %d, %v", n, e)
			}
			if _, e := Send(c, []byte("x")); e != syscall.EPIPE {
				t.Errorf("send after ShutdownWrite: %v", e)
			}
			sendAll(t, s, []byte("answer"))
			if got := recvAll(t, c, 6); string(got) != "answer" {
				t.Errorf("client got %q", got)
			}
			must(t, ShutdownRead(c))
			if n, e := Recv(c, make([]byte, 1)); n != 0 || e != 0 {
				t.Errorf("after ShutdownRead: %d, %v", n, e)
			}
		})
	}
}

func TestShutdownReadKeepsWriting(t *testing.T) {
	c, s := connected(t, "127.0.0.1:0")
	must(t, ShutdownRead(c))
	sendAll(t, c, []byte("still here"))
	if got := recvAll(t, s, 10); string(got) != "still here" {
		t.Errorf("%q", got)
	}
	fd, err := Socket(parse(t, "127.0.0.1:1"))
	must(t, err)
	closing(t, fd)
	if err := ShutdownWrite(fd); !errors.Is(err, unix.ENOTCONN) {
		t.Errorf("without a peer: %v", err)
	}
}

func TestLingerZeroResets(t *testing.T) {
	checkFDs(t)
	l, a := listening(t, "127.0.0.1:0", ListenConfig{})
	c, err := Socket(a)
	must(t, err)
	_, err = Connect(c, a)
	must(t, err)
	s := accepting(t, l, nil)
	must(t, SetLinger(c, 0))
	must(t, Close(c))
	ready(t, s, unix.POLLIN)
	if n, e := Recv(s, make([]byte, 1)); n != 0 || e != syscall.ECONNRESET {
		t.Errorf("%d, %v, want a reset", n, e)
	}
}

func TestTakeErrorOnce(t *testing.T) {
	l, a := listening(t, "127.0.0.1:0", ListenConfig{})
	c, err := Socket(a)
	must(t, err)
	_, err = Connect(c, a)
	must(t, err)
	s := accepting(t, l, nil)
	must(t, TakeError(s))
	must(t, SetLinger(c, 0))
	must(t, Close(c))
	ready(t, s, unix.POLLIN)
	if err := TakeError(s); err != unix.ECONNRESET {
		t.Errorf("%v, want a reset", err)
	}
	must(t, TakeError(s))
}

func TestDupSharesTheSocket(t *testing.T) {
	checkFDs(t)
	a, b := pairing(t)
	d, err := Dup(a)
	must(t, err)
	closing(t, d)
	flags(t, d)
	sendAll(t, d, []byte("x"))
	if got := recvAll(t, b, 1); string(got) != "x" {
		t.Errorf("got %q", got)
	}
	if _, err := Dup(-1); !errors.Is(err, unix.EBADF) {
		t.Error(err)
	}
}

func TestPairIsPrepared(t *testing.T) {
	checkFDs(t)
	a, b := pairing(t)
	flags(t, a)
	flags(t, b)
}

func TestAdoptedDescriptor(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must(t, err)
	for _, fd := range fds {
		closing(t, fd)
		must(t, SetNonblock(fd))
		SetCloseOnExec(fd)
		flags(t, fd)
	}
	if err := SetNonblock(-1); !errors.Is(err, unix.EBADF) {
		t.Error(err)
	}
}

func TestIsListeningIsStream(t *testing.T) {
	l, a := listening(t, "127.0.0.1:0", ListenConfig{})
	c := dialing(t, a)
	dgram, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	must(t, err)
	closing(t, dgram)
	file, err := Reserve()
	must(t, err)
	closing(t, file)
	for _, k := range []struct {
		name              string
		fd                int
		listening, stream bool
		err               error
	}{
		{"listener", l, true, true, nil},
		{"connection", c, false, true, nil},
		{"datagrams", dgram, false, false, nil},
		{"file", file, false, false, unix.ENOTSOCK},
		{"nothing", -1, false, false, unix.EBADF},
	} {
		if got, err := IsListening(k.fd); got != k.listening || !errors.Is(err, k.err) {
			t.Errorf("%s listening: %v, %v", k.name, got, err)
		}
		if got, err := IsStream(k.fd); got != k.stream || !errors.Is(err, k.err) {
			t.Errorf("%s stream: %v, %v", k.name, got, err)
		}
	}
}

func TestErrorsNameTheCall(t *testing.T) {
	for want, err := range map[string]error{
		"close": Close(-1), "shutdown": ShutdownRead(-1), "setsockopt": SetNoDelay(-1, true),
		"getsockopt": TakeError(-1), "fcntl": SetNonblock(-1),
	} {
		sys := new(os.SyscallError)
		if !errors.As(err, &sys) || sys.Syscall != want || !errors.Is(err, unix.EBADF) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
