//go:build linux

package poller

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const refusal = "WEIR_TEST_PWAIT2_ERRNO"

// A kernel without epoll_pwait2 is made by a seccomp filter, in a process of
// its own because a filter is for life. Old filters say EPERM.
func TestRefusedPwait2FallsBack(t *testing.T) {
	if v := os.Getenv(refusal); v != "" {
		waitRefused(t, v)
		return
	}
	for _, errno := range []unix.Errno{unix.ENOSYS, unix.EPERM} {
		t.Run(unix.ErrnoName(errno), func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.v", "-test.run=^TestRefusedPwait2FallsBack$")
			cmd.Env = append(os.Environ(), refusal+"="+strconv.Itoa(int(errno)))
			out, err := cmd.CombinedOutput()
			t.Logf("%s", out)
			ok(t, err)
		})
	}
}

func waitRefused(t *testing.T, v string) {
	errno, err := strconv.Atoi(v)
	ok(t, err)
	refuse(t, unix.SYS_EPOLL_PWAIT2, uint32(errno))
	p := open(t, kind{set: func(*Poller) {}})
	var evs [1]Event
	for range 2 {
		const timeout = 100 * time.Microsecond
		began := time.Now()
		n, err := p.Wait(evs[:], timeout)
		took := time.Since(began)
		ok(t, err)
		if n != 0 || took < time.Millisecond {
			t.Errorf("Wait(%v) returned %d events after %v: a wait in milliseconds takes at least one", timeout, n, took)
		}
		if !noPwait2.Load() {
			t.Error("the refusal is not remembered")
		}
	}
}

// refuse has the kernel answer a system call with errno, for the whole process.
func refuse(t *testing.T, call, errno uint32) {
	t.Helper()
	filter := [...]unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, // the number of the call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | errno},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	// Installed for all threads at once, which needs no_new_privs in this one
	// only: the others get it with the filter.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ok(t, unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	_, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&prog)))
	if e != 0 {
		t.Skipf("no seccomp here: %v", e)
	}
}
