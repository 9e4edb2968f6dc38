package restart

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/netconn"
)

// successor is what launches a shell that says it is ready, when it was given n
// sockets and no more, and waits for its predecessor to let go.
func successor(n int) Config {
	script := fmt.Sprintf("test -e /proc/self/fd/%d || printf R >&%d; exec cat <&%[2]d >/dev/null", firstFD+n+1, firstFD+n)
	return Config{Path: "/bin/sh", Args: []string{"-c", script}, Patience: time.Minute}
}

// TestClosedIsLeftOut: whoever closes a listener that is kept has a successor that
// does not get it, and gets the others.
func TestClosedIsLeftOut(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("the successor looks there what it was given: ", err)
	}
	rt, err := conn.Start(conn.Config{Loops: 2})
	must(t, err)
	defer rt.Close()
	s, err := Begin(successor(3))
	must(t, err)
	at := conn.TCP(netip.MustParseAddrPort("127.0.0.1:0"))
	two := conn.ListenConfig{Balance: conn.PerLoop}
	stays, err := s.Listen(rt, "stays", two, at, refuse)
	must(t, err)
	defer stays.Close()
	gone, err := s.Listen(rt, "gone", two, at, refuse)
	must(t, err)
	face, err := Open(s, "face", at, func() (*netconn.Listener, error) { return netconn.Listen(rt, at) }, nil)
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, s.Keep("std", at, Net(l.(*net.TCPListener))))
	other, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer other.Close()
	must(t, s.Keep("other", at, Net(other.(*net.TCPListener))))
	must(t, s.Ready())

	must(t, gone.Close())
	must(t, face.Close())
	must(t, l.Close())
	must(t, s.Restart(t.Context()))
	<-s.Left()
	must(t, s.Close())
}

func refuse(*conn.Conn) conn.Handler { return nil }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestForget: a name that is forgotten is free, its listener is not handed over,
// and who has it, or may have it, is not asked for it back.
func TestForget(t *testing.T) {
	s, err := Begin(Config{})
	must(t, err)
	is := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	is("nobody", s.Forget("web"), ErrName)
	first, second := &fake{}, &fake{}
	is("one", s.Keep("web", conn.Addr{}, first), nil)
	is("another", s.Keep("api", conn.Addr{}, &fake{}), nil)
	is("its name", s.Keep("web", conn.Addr{}, second), ErrName)
	is("forgotten", s.Forget("web"), nil)
	is("again", s.Forget("web"), ErrName)
	is("its name again", s.Keep("web", conn.Addr{}, second), nil)
	must(t, s.Ready())
	is("enter", s.enter(func(error) {}), nil)
	is("while a successor is started", s.Forget("web"), ErrBusy)
	s.cancel = nil
	s.leave()
	if first.left || !second.left {
		t.Errorf("left: %v, %v", first.left, second.left)
	}
	is("that has left", s.Forget("web"), ErrLeft)
	must(t, s.Close())
	is("after Close", s.Forget("web"), ErrClosed)
}

// TestForgetAtOnce: of all that happens at once nothing is half done.
func TestForgetAtOnce(t *testing.T) {
	s, err := Begin(Config{Path: "/there/is/no/such/program"})
	must(t, err)
	must(t, s.Ready())
	var all sync.WaitGroup
	for i := range 4 {
		name := fmt.Sprint("listener", i)
		all.Go(func() {
			var kept error // ErrName: it was not forgotten
			for range 200 {
				if err := s.Keep(name, conn.Addr{}, open1{}); !errors.Is(err, kept) {
					t.Errorf("kept: %v, want %v", err, kept)
				}
				switch err := s.Forget(name); err {
				case nil:
					kept = nil
				case ErrBusy:
					kept = ErrName
				default:
					t.Errorf("forgotten: %v", err)
				}
			}
		})
	}
	for range 50 {
		if err := s.Restart(t.Context()); !os.IsNotExist(err) {
			t.Errorf("it has failed otherwise: %v", err)
		}
	}
	all.Wait()
	for _, k := range slices.Clone(s.kept) {
		must(t, s.Forget(k.name))
	}
	must(t, s.Close())
}

// open1 is a listener with a socket.
type open1 struct{}

func (open1) Dups() ([]int, error) {
	fd, err := syscall.Open("/dev/null", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	return []int{fd}, err
}
func (open1) Leave() {}

// TestForgetsTheFile of a Unix socket that a predecessor has made: at once, or at
// the end when that one may serve there.
func TestForgetsTheFile(t *testing.T) {
	for _, ready := range []bool{false, true} {
		s, file := inheritor(t)
		there := func() bool {
			_, err := os.Lstat(file)
			return !errors.Is(err, os.ErrNotExist)
		}
		if ready {
			must(t, s.Ready())
		}
		must(t, s.Forget("file"))
		if there() == ready {
			t.Errorf("ready %v: the file is there: %v", ready, there())
		}
		if !ready {
			must(t, s.Ready())
		}
		must(t, s.Close())
		if there() {
			t.Errorf("ready %v: the file is left", ready)
		}
	}
}
