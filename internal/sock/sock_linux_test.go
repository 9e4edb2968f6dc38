package sock

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestKeepAliveTiming(t *testing.T) {
	c, _ := connected(t, "127.0.0.1:0")
	system := [3]int{
		opt(t, c, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE),
		opt(t, c, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL),
		opt(t, c, unix.IPPROTO_TCP, unix.TCP_KEEPCNT),
	}
	for _, k := range []struct {
		in   KeepAlive
		want [3]int
	}{
		{KeepAlive{}, system},
		{KeepAlive{Idle: 30 * time.Second}, [3]int{30, system[1], system[2]}},
		{KeepAlive{Interval: 1200 * time.Millisecond, Count: 4}, [3]int{30, 2, 4}},
		{KeepAlive{Idle: time.Nanosecond, Interval: time.Minute, Count: 9}, [3]int{1, 60, 9}},
	} {
		must(t, SetKeepAlive(c, k.in))
		got := [3]int{
			opt(t, c, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE),
			opt(t, c, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL),
			opt(t, c, unix.IPPROTO_TCP, unix.TCP_KEEPCNT),
		}
		if got != k.want || opt(t, c, unix.SOL_SOCKET, unix.SO_KEEPALIVE) != 1 {
			t.Errorf("%+v: %v, want %v", k.in, got, k.want)
		}
	}
	if err := SetKeepAlive(c, KeepAlive{Idle: 20 * time.Hour}); !errors.Is(err, unix.EINVAL) {
		t.Errorf("above the kernel's limit: %v", err)
	}
}

func TestUserTimeout(t *testing.T) {
	c, _ := connected(t, "127.0.0.1:0")
	for d, want := range map[time.Duration]int{
		5 * time.Second: 5000, 1500 * time.Microsecond: 2, 0: 0, -time.Second: 0, 1 << 62: 1<<31 - 1,
	} {
		must(t, SetUserTimeout(c, d))
		if got := opt(t, c, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT); got != want {
			t.Errorf("%v: %d ms, want %d", d, got, want)
		}
	}
}

func TestAcceptedInherit(t *testing.T) {
	l, a := listening(t, "127.0.0.1:0", ListenConfig{
		NoDelay:    true,
		KeepAlive:  KeepAlive{Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3},
		ReadBuffer: 32 << 10, WriteBuffer: 48 << 10,
	})
	dialing(t, a)
	s := accepting(t, l, nil)
	for _, o := range []struct {
		name                string
		level, option, want int
	}{
		{"nodelay", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{"keepalive", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{"idle", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 30},
		{"interval", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 10},
		{"count", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3},
		{"read buffer", unix.SOL_SOCKET, unix.SO_RCVBUF, 64 << 10},
		{"write buffer", unix.SOL_SOCKET, unix.SO_SNDBUF, 96 << 10},
	} {
		for _, fd := range []int{l, s} {
			if got := opt(t, fd, o.level, o.option); got != o.want {
				t.Errorf("%s: %d, want %d", o.name, got, o.want)
			}
		}
	}
}

func TestListenDefaults(t *testing.T) {
	l, _ := listening(t, "127.0.0.1:0", ListenConfig{})
	for _, o := range []struct {
		name                string
		level, option, want int
	}{
		{"reuse address", unix.SOL_SOCKET, unix.SO_REUSEADDR, 1},
		{"reuse port", unix.SOL_SOCKET, unix.SO_REUSEPORT, 0},
		{"keepalive", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{"nodelay", unix.IPPROTO_TCP, unix.TCP_NODELAY, 0},
	} {
		if got := opt(t, l, o.level, o.option); got != o.want {
			t.Errorf("%s: %d, want %d", o.name, got, o.want)
		}
	}
	l, _ = listening(t, "127.0.0.1:0", ListenConfig{KeepAlive: KeepAlive{Disable: true}})
	if got := opt(t, l, unix.SOL_SOCKET, unix.SO_KEEPALIVE); got != 0 {
		t.Errorf("disabled keepalive: %d", got)
	}
}

func TestBacklog(t *testing.T) {
	for _, c := range []struct{ in, want int }{{7, 7}, {0, somaxconn(t)}, {-5, somaxconn(t)}} {
		l, _ := listening(t, "127.0.0.1:0", ListenConfig{Backlog: c.in})
		// For a listener the kernel shows its queue's limit as sacked.
		info, err := unix.GetsockoptTCPInfo(l, unix.IPPROTO_TCP, unix.TCP_INFO)
		must(t, err)
		if int(info.Sacked) != c.want {
			t.Errorf("backlog %d: %d, want %d", c.in, info.Sacked, c.want)
		}
	}
}

func somaxconn(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/sys/net/core/somaxconn")
	must(t, err)
	n := 0
	for _, d := range strings.TrimSpace(string(b)) {
		n = 10*n + int(d-'0')
	}
	return min(n, 65535)
}

func TestAbstractNameIsTaken(t *testing.T) {
	checkFDs(t)
	_, a := listening(t, fmt.Sprint("unix://@weir-sock-taken-", os.Getpid()), ListenConfig{})
	if fd, err := Listen(a, ListenConfig{}); fd != -1 || !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("%d, %v", fd, err)
	}
}

func TestZoneNames(t *testing.T) {
	checkFDs(t)
	lo, err := net.InterfaceByName("lo")
	must(t, err)
	p := PeerOf(netip.MustParseAddrPort("[fe80::1%lo]:1"))
	if int(p.zone) != lo.Index {
		t.Errorf("zone %d, want %d", p.zone, lo.Index)
	}
	if _, err := zoneByName("no-such-if"); !errors.Is(err, unix.ENODEV) {
		t.Error(err)
	}
	if _, err := zoneByName(strings.Repeat("x", 99)); !errors.Is(err, ErrAddr) {
		t.Error(err)
	}
	fd, err := Socket(parse(t, "[fe80::1%no-such-if]:1"))
	must(t, err)
	closing(t, fd)
	if _, err := Connect(fd, parse(t, "[fe80::1%no-such-if]:1")); !errors.Is(err, unix.ENODEV) {
		t.Error(err)
	}
}

// The machine's own link-local address: the traffic stays inside.
func TestLinkLocal(t *testing.T) {
	checkFDs(t)
	ip, index := linkLocal(t)
	l, a := listening(t, "tcp://["+ip+"]:0", ListenConfig{})
	c := dialing(t, a)
	var peer Peer
	s := accepting(t, l, &peer)
	checkNames(t, c, s, a, peer)
	if int(peer.zone) != index {
		t.Errorf("peer %v, zone %d", peer, index)
	}
}

// linkLocal finds an address such as "fe80::1%eth0" and its interface's index.
func linkLocal(t *testing.T) (string, int) {
	t.Helper()
	ifs, err := net.Interfaces()
	must(t, err)
	for _, i := range ifs {
		addrs, err := i.Addrs()
		must(t, err)
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && i.Flags&net.FlagUp != 0 && n.IP.To4() == nil && n.IP.IsLinkLocalUnicast() {
				return n.IP.String() + "%" + i.Name, i.Index
			}
		}
	}
	t.Skip("no link-local address")
	return "", 0
}

// Both ways of counting agree, so that an old kernel's is tested too.
func TestCountEntries(t *testing.T) {
	checkFDs(t)
	for range 600 { // more than one buffer of directory entries
		fd, err := Reserve()
		must(t, err)
		closing(t, fd)
	}
	want, err := InUse()
	must(t, err)
	if got, err := countEntries(fdDir); got != want || err != nil {
		t.Errorf("%d, %v, want %d", got, err, want)
	}
}

// One call moves MaxIO bytes at most, however much room there is.
func TestCallsAreBounded(t *testing.T) {
	a, b := pairing(t)
	const room = 8 * MaxIO
	if err := unix.SetsockoptInt(a, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, room); err != nil {
		t.Skip("making room needs a privilege: ", err)
	}
	p := noise(2 * MaxIO)
	if n, e := Send(a, p); n != MaxIO || e != 0 {
		t.Errorf("Send: %d, %v", n, e)
	}
	if n, e := Sendv(a, pieces(p)); n != MaxIO || e != 0 {
		t.Errorf("Sendv of one large piece: %d, %v", n, e)
	}
	const piece = MaxIO/2 - 1
	if n, e := Sendv(a, pieces(p, piece, piece, piece)); n != 2*piece || e != 0 {
		t.Errorf("Sendv of several: %d, %v", n, e)
	}
	if n, e := Recv(b, make([]byte, 2*MaxIO)); n != MaxIO || e != 0 {
		t.Errorf("Recv: %d, %v", n, e)
	}
}

func TestBindLeavesThePortToConnect(t *testing.T) {
	for _, s := range []string{"127.0.0.1:0", "[::1]:0"} {
		a := parse(t, s)
		fd, err := Socket(a)
		must(t, err)
		closing(t, fd)
		must(t, Bind(fd, a))
		if got, err := LocalAddr(fd); got != a || err != nil {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	a := parse(t, "127.0.0.1:0")
	l, err := Listen(a, ListenConfig{}) // a listener needs its port now
	must(t, err)
	closing(t, l)
	if got, err := LocalAddr(l); err != nil || got.IP.Port() == 0 {
		t.Errorf("%v, %v", got, err)
	}
}
