//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package sock

import (
	"errors"
	"math"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func opt(t *testing.T, fd, level, option int) int {
	t.Helper()
	n, err := unix.GetsockoptInt(fd, level, option)
	must(t, err)
	return n
}

func TestSwitches(t *testing.T) {
	c, _ := connected(t, "127.0.0.1:0")
	for _, o := range []struct {
		name          string
		set           func(on bool) error
		level, option int
	}{
		{"no-delay", func(on bool) error { return SetNoDelay(c, on) }, unix.IPPROTO_TCP, unix.TCP_NODELAY},
		{"keep-alive", func(on bool) error { return SetKeepAlive(c, KeepAlive{Disable: !on}) }, unix.SOL_SOCKET, unix.SO_KEEPALIVE},
	} {
		for _, on := range []bool{true, false, true} {
			must(t, o.set(on))
			if got := opt(t, c, o.level, o.option) != 0; got != on {
				t.Errorf("%s: %v, want %v", o.name, got, on)
			}
		}
	}
}

func TestBuffers(t *testing.T) {
	c, _ := connected(t, "127.0.0.1:0")
	for _, o := range []struct {
		name string
		set  func(fd, n int) error
		get  func(fd int) (int, error)
		want int
	}{
		{"read", SetReadBuffer, ReadBuffer, 64 << 10},
		{"write", SetWriteBuffer, WriteBuffer, 24 << 10},
	} {
		must(t, o.set(c, o.want))
		got, err := o.get(c)
		must(t, err)
		if got != o.want && got != 2*o.want { // Linux doubles it
			t.Errorf("%s buffer: %d, want %d", o.name, got, o.want)
		}
	}
}

func TestLinger(t *testing.T) {
	c, _ := connected(t, "127.0.0.1:0")
	for _, k := range []struct {
		d       time.Duration
		on, sec int32
	}{
		{0, 1, 0}, {time.Second, 1, 1}, {1500 * time.Millisecond, 1, 2}, {-1, 0, 0}, {time.Nanosecond, 1, 1}, {-time.Hour, 0, 0},
	} {
		must(t, SetLinger(c, k.d))
		l, err := unix.GetsockoptLinger(c, unix.SOL_SOCKET, soLinger)
		must(t, err)
		if (l.Onoff != 0) != (k.on != 0) || l.Onoff != 0 && l.Linger != k.sec {
			t.Errorf("%v: %+v, want %d %d", k.d, l, k.on, k.sec)
		}
	}
}

func TestOptionsRefuse(t *testing.T) {
	c, _ := connected(t, "127.0.0.1:0")
	u, _ := pairing(t)
	for name, err := range map[string]error{
		"negative idle":     SetKeepAlive(c, KeepAlive{Idle: -1}),
		"negative interval": SetKeepAlive(c, KeepAlive{Interval: -1}),
		"negative count":    SetKeepAlive(c, KeepAlive{Count: -1}),
	} {
		if !errors.Is(err, unix.EINVAL) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if SetNoDelay(u, true) == nil {
		t.Error("no-delay on a Unix socket")
	}
}

func TestUserTimeoutSupport(t *testing.T) {
	c, _ := connected(t, "127.0.0.1:0")
	err := SetUserTimeout(c, time.Second)
	switch runtime.GOOS {
	case "linux", "darwin":
		must(t, err)
	default:
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Error(err)
		}
	}
}

func TestRoundUp(t *testing.T) {
	for _, c := range []struct {
		d, unit time.Duration
		want    int
	}{
		{0, time.Second, 0}, {1, time.Second, 1}, {time.Second, time.Second, 1}, {time.Second + 1, time.Second, 2},
		{1500 * time.Microsecond, time.Millisecond, 2}, {math.MaxInt64, time.Millisecond, math.MaxInt32},
	} {
		if got := roundUp(c.d, c.unit); got != c.want {
			t.Errorf("%v in %v: %d, want %d", c.d, c.unit, got, c.want)
		}
	}
}
