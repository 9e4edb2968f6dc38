//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package sock

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// childKey makes the test binary play the service that was started with its
// sockets open.
const childKey = "WEIR_SOCK_TEST_CHILD"

func TestListenFDsTakesThemOver(t *testing.T) {
	if os.Getenv(childKey) != "" {
		activatedChild(t)
		return
	}
	checkFDs(t)
	l, _ := listening(t, "127.0.0.1:0", ListenConfig{})
	u, _ := listening(t, "unix://"+socketPath(t), ListenConfig{})
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	defer w.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^TestListenFDsTakesThemOver$", "-test.v", "-test.timeout=30s")
	for _, fd := range []int{l, u} {
		d, err := Dup(fd)
		must(t, err)
		f := os.NewFile(uintptr(d), "listener")
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, r)
	cmd.Env = append(os.Environ(), childKey+"=1", "LISTEN_FDS=3", "LISTEN_FDNAMES=web:admin:pipe")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "child done") {
		t.Errorf("%v\n%s", err, out)
	}
}

func activatedChild(t *testing.T) {
	// The parent cannot know the number of the process it is about to start.
	env := func(name string) string {
		if name == "LISTEN_PID" {
			return "42"
		}
		return os.Getenv(name)
	}
	// As a service manager hands them over: flags as its programmer left them.
	for fd := 3; fd < 6; fd++ {
		must(t, unix.SetNonblock(fd, false))
	}
	if got, err := ListenFDs(env, 43); got != nil || err != nil {
		t.Errorf("another's descriptors: %v, %v", got, err)
	}
	tooMany := func(name string) string {
		return environ{"LISTEN_PID": "42", "LISTEN_FDS": "1000"}.get(name)
	}
	if got, err := ListenFDs(tooMany, 42); got != nil || !errors.Is(err, unix.EBADF) {
		t.Errorf("promised but not open: %v, %v", got, err)
	}
	if fl, _ := unix.FcntlInt(3, unix.F_GETFD, 0); fl&unix.FD_CLOEXEC != 0 {
		t.Error("touched although the promise was wrong")
	}
	got, err := ListenFDs(env, 42)
	must(t, err)
	want := []ListenFD{{3, "web"}, {4, "admin"}, {5, "pipe"}}
	if len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Fatalf("%v, want %v", got, want)
	}
	for _, l := range got[:2] {
		flags(t, l.FD)
		if ok, err := IsListening(l.FD); !ok || err != nil {
			t.Errorf("%v: listening %v, %v", l, ok, err)
		}
	}
	if fl, _ := unix.FcntlInt(5, unix.F_GETFL, 0); fl&unix.O_NONBLOCK != 0 {
		t.Error("the pipe was made non-blocking")
	}
	if fl, _ := unix.FcntlInt(5, unix.F_GETFD, 0); fl&unix.FD_CLOEXEC == 0 {
		t.Error("the pipe is not close-on-exec")
	}
	if os.Getenv("LISTEN_FDS") == "" {
		t.Error("ListenFDs unset the variables")
	}
	UnsetListenFDs()
	for _, name := range []string{"LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID"} {
		if _, ok := os.LookupEnv(name); ok {
			t.Errorf("%s is still set", name)
		}
	}
	t.Log("child done")
}
