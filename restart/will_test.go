package restart

import (
	"errors"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/ports"
	"github.com/weir-go/weir/internal/sock"
)

func TestWill(t *testing.T) {
	for _, w := range []will{
		{1, "TOKEN", nil},
		{7, "TOKEN", []entry{{"echo", false}, {"echo", false}, {"admin", true}}},
		{1 << 20, "T", []entry{{strings.Repeat("x", maxName), true}}},
	} {
		if got, ok := parseWill(w.String()); !ok || !reflect.DeepEqual(got, w) {
			t.Errorf("%q is read as %+v, %v", w, got, ok)
		}
	}
	for _, text := range []string{
		"", "1", "1,1", "2,1,T", "1,-1,T", "1,01,T", "1,1,", "1,1,T,", "1,1,T,+", "1,1,T,a b", "1,1,T,a:b", "1,x,T",
		"1,99999999999,T", "1,1,T," + strings.Repeat("x", maxName+1), "1,1,T" + strings.Repeat(",a", MaxSockets+1),
	} {
		if w, ok := parseWill(text); ok {
			t.Errorf("%.40q is read as %+v", text, w)
		}
	}
}

func FuzzWill(f *testing.F) {
	f.Add("1,2,TOKEN,echo,+admin")
	f.Add("1,0,T")
	f.Fuzz(func(t *testing.T, text string) {
		if w, ok := parseWill(text); ok && w.String() != text {
			t.Errorf("%q is read as %q", text, w)
		}
	})
}

// A variable that a child has inherited from somebody who did not mean it, is
// nothing: neither its descriptors nor its sockets are touched.
func TestParentIsNotThere(t *testing.T) {
	t.Setenv(variable, "1,1,TOKEN,echo")
	s, err := Begin(Config{})
	if err != nil || s.Generation() != 0 || s.Stats().Inherited != 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	if _, there := os.LookupEnv(variable); there {
		t.Error("the variable is passed on")
	}
}

func listening(t *testing.T, at conn.Addr) (int, conn.Addr) {
	t.Helper()
	fd, err := sock.Listen(sock.Addr(at), sock.ListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	is, err := sock.LocalAddr(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fd, conn.Addr(is)
}

// TestTake: what is asked for is found by its name, unless its address has
// changed; a service manager's by its address, too.
func TestTake(t *testing.T) {
	local := conn.TCP(netip.MustParseAddrPort("127.0.0.1:0"))
	fd, is := listening(t, local)
	defer sock.Close(fd)
	path := conn.Unix(t.TempDir() + "/s")
	file, _ := listening(t, path)
	defer sock.Close(file)
	moved := conn.TCP(netip.AddrPortFrom(is.IP.Addr(), is.IP.Port()^1))
	for _, test := range []struct {
		what string
		have inherited
		name string
		at   conn.Addr
		want bool
	}{
		{"by name", inherited{name: "web", fd: fd}, "web", is, true},
		{"any port", inherited{name: "web", fd: fd}, "web", local, true},
		{"another name", inherited{name: "web", fd: fd}, "api", is, false},
		{"another port", inherited{name: "web", fd: fd}, "web", moved, false},
		{"another address", inherited{name: "web", fd: fd}, "web", conn.TCP(netip.MustParseAddrPort("127.0.0.2:0")), false},
		{"a path", inherited{name: "web", fd: fd}, "web", path, false},
		{"the path", inherited{name: "web", fd: file}, "web", path, true},
		{"another path", inherited{name: "web", fd: file}, "web", conn.Unix(path.Path + "2"), false},
		{"the manager's name", inherited{name: "web", fd: fd, managed: true}, "web", moved, true},
		{"the manager's address", inherited{name: "web.socket", fd: fd, managed: true}, "web", is, true},
		{"neither", inherited{name: "web.socket", fd: fd, managed: true}, "web", moved, false},
	} {
		s := &Sockets{inherited: []inherited{test.have}, taken: make(map[string]bool)}
		fds := s.Take(test.name, test.at)
		if got := len(fds) == 1; got != test.want || len(s.inherited) == len(fds) {
			t.Errorf("%s: %v, %d left", test.what, fds, len(s.inherited))
		}
	}
}

// TestRest: what a service manager passes under a name of its own is the last
// listener's; and its file is the manager's, or the line's own, as Take has found it.
func TestRest(t *testing.T) {
	path := conn.Unix("/run/s")
	s := &Sockets{taken: make(map[string]bool), inherited: []inherited{
		{name: "echo.socket", fd: 7, managed: true}, {name: "old", fd: 8, ours: true}}}
	s.idle.L = &s.mu
	if fds := s.Rest("echo"); len(fds) != 1 || fds[0] != 7 {
		t.Fatalf("%v", fds)
	}
	s.note("old", []int{8}, true)
	s.inherited = nil
	for name, at := range map[string]conn.Addr{"echo": path, "old": path, "new": path, "abstract": conn.Unix("@s")} {
		if err := s.Keep(name, at, &fake{}); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]kept{"echo": {}, "old": {ours: true, file: path.Path}, "new": {ours: true}, "abstract": {}}
	for _, k := range s.kept {
		if w := want[k.name]; k.ours != w.ours || k.file != w.file {
			t.Errorf("%s: ours %v, to remove %q", k.name, k.ours, k.file)
		}
	}
}

// TestOpenAll: a listener of several sockets is given all of them.
func TestOpenAll(t *testing.T) {
	at := conn.TCP(netip.MustParseAddrPort("127.0.0.1:0"))
	s := &Sockets{}
	for _, name := range []string{"web", "api", "web"} {
		fd, _ := listening(t, at)
		defer sock.Close(fd)
		s.inherited = append(s.inherited, inherited{name: name, fd: fd})
	}
	have := s.inherited
	var got []int
	open := func(name string) {
		_, err := OpenAll(s, name, at, func() (*fake, error) { got = nil; return &fake{}, nil },
			func(fds []int) (*fake, error) { got = fds; return &fake{}, nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	if open("web"); !slices.Equal(got, []int{have[0].fd, have[2].fd}) || len(s.inherited) != 1 {
		t.Errorf("%v of %v", got, have)
	}
	if open("new"); got != nil {
		t.Errorf("%v", got)
	}
}

// TestUnasked: a socket that nobody asks for would have peers wait for ever.
func TestUnasked(t *testing.T) {
	fd, is := listening(t, conn.TCP(ports.Hold(t)))
	s := &Sockets{inherited: []inherited{{name: "gone", fd: fd}}}
	s.idle.L = &s.mu
	if err := s.Ready(); err != nil {
		t.Fatal(err)
	}
	again, err := sock.Listen(sock.Addr(is), sock.ListenConfig{})
	if err != nil {
		t.Fatalf("somebody listens: %v", err)
	}
	sock.Close(again)
}

// fake is a listener that cannot be handed over.
type fake struct{ left bool }

func (f *fake) Dups() ([]int, error) { return nil, syscall.EMFILE }
func (f *fake) Leave()               { f.left = true }

func TestNames(t *testing.T) {
	s, err := Begin(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Keep("web", conn.Addr{}, &fake{}); err != nil {
		t.Fatal(err)
	}
	for name, says := range map[string]string{
		"": `: "", of 0 bytes`, "web": `called "web" already`, "a b": `: "a b", of 3 bytes`, "a,b": `: "a,b"`, "+a": `: "+a"`,
		strings.Repeat("x", 256): `, of 256 bytes, which may be 255`,
	} {
		if err := s.Keep(name, conn.Addr{}, &fake{}); !errors.Is(err, ErrName) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if err := s.Forget("wob"); !errors.Is(err, ErrName) || !strings.Contains(err.Error(), `nobody is kept as "wob"`) {
		t.Error(err)
	}
}

// TestBroken: when not even a process can be started, all is as it was.
func TestBroken(t *testing.T) {
	s, err := Begin(Config{Path: "/there/is/no/such/program"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(t.Context()); err != ErrEarly {
		t.Errorf("before it is ready: %v", err)
	}
	if err := s.Ready(); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(t.Context()); !os.IsNotExist(err) {
		t.Errorf("without a program: %v", err)
	}
	f := &fake{}
	if err := s.Keep("web", conn.Addr{}, f); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(t.Context()); !errors.Is(err, syscall.EMFILE) || f.left {
		t.Errorf("with a listener that cannot be handed over: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(t.Context()); err != ErrClosed {
		t.Errorf("after Close: %v", err)
	}
	if st := s.Stats(); st != (Stats{Broken: 2, Busy: 1}) {
		t.Errorf("%+v", st)
	}
}
