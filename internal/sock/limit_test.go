//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package sock

import (
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestReserve(t *testing.T) {
	checkFDs(t)
	fd, err := Reserve()
	must(t, err)
	closing(t, fd)
	fl, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	must(t, err)
	if fl&unix.FD_CLOEXEC == 0 {
		t.Error("not close-on-exec")
	}
}

func TestInUseCounts(t *testing.T) {
	checkFDs(t)
	before, err := InUse()
	must(t, err)
	for i := 1; i <= 300; i++ {
		fd, err := Reserve()
		must(t, err)
		closing(t, fd)
		if i%100 != 0 {
			continue
		}
		now, err := InUse()
		must(t, err)
		if now != before+i {
			t.Fatalf("%d, want %d", now, before+i)
		}
	}
}

func TestLimit(t *testing.T) {
	soft, hard, err := Limit()
	must(t, err)
	used, err := InUse()
	must(t, err)
	if soft == 0 || soft > hard || uint64(used) > soft {
		t.Errorf("soft %d, hard %d, in use %d", soft, hard, used)
	}
	if runtime.GOOS != "linux" {
		return
	}
	var l unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &l))
	if soft != uint64(l.Cur) || hard != uint64(l.Max) {
		t.Errorf("%d, %d, want %+v", soft, hard, l)
	}
}

func TestRaiseLimit(t *testing.T) {
	_, hard, err := Limit()
	must(t, err)
	var l syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l))
	l.Cur--
	must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l))
	if soft, _, _ := Limit(); soft != uint64(l.Cur) {
		t.Fatalf("lowered to %d, it is %d", l.Cur, soft)
	}
	for range 2 { // the second time there is nothing to raise
		if err := RaiseLimit(); err != nil {
			if runtime.GOOS == "linux" {
				t.Fatal(err)
			}
			t.Skip(err) // the system has a limit of its own
		}
		if soft, _, _ := Limit(); soft != hard {
			t.Errorf("raised to %d, want %d", soft, hard)
		}
	}
}
