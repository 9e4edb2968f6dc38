//go:build (darwin || dragonfly || freebsd || netbsd || openbsd) && (amd64 || arm64 || ppc64 || riscv64)

package poller

import (
	"errors"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// kqueue keeps a filter per direction instead of a mask per descriptor, so one
// descriptor may give two events in a batch.
//
// Where the token is kept: in udata, as a plain number. x/sys declares that
// field *byte, and a number in a pointer field is a trap: the collector throws
// when it meets one that looks like an address of a free span. A table of
// tokens by descriptor would avoid it, but has to be locked by the waiter and
// gives a late event of a closed descriptor the token of the next one with the
// same number, which is what tokens are there to prevent. So the events are
// declared here once more (kevent, one file per layout), with udata a uintptr:
// memory that the collector knows to be without pointers. x/sys only carries
// it to the kernel, as it must on darwin and openbsd, where a program may not
// make system calls by itself. A token needs 64 bits, so 32-bit systems have
// no backend.

// The compiler refuses these lines when kevent and x/sys disagree.
var (
	_ [unsafe.Sizeof(unix.Kevent_t{})]byte         = [unsafe.Sizeof(kevent{})]byte{}
	_ [unsafe.Offsetof(unix.Kevent_t{}.Flags)]byte = [unsafe.Offsetof(kevent{}.flags)]byte{}
	_ [unsafe.Offsetof(unix.Kevent_t{}.Udata)]byte = [unsafe.Offsetof(kevent{}.udata)]byte{}
)

type kernel struct {
	kq   int
	bell bell // EVFILT_USER or a pipe

	// Owned by the waiter.
	raw   []kevent // what the kernel fills; as long as the longest evs so far
	ts    unix.Timespec
	alarm alarm // the timer filter, if it is used
}

func (k *kernel) open() (err error) {
	// No child may inherit the queue between kqueue(2) and fcntl(2).
	syscall.ForkLock.RLock()
	k.kq, err = unix.Kqueue()
	if err == nil {
		unix.CloseOnExec(k.kq)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return os.NewSyscallError("kqueue", err)
	}
	if err = k.bell.open(k.kq); err != nil {
		_ = unix.Close(k.kq)
	}
	return err
}

func (k *kernel) close() {
	k.bell.close()
	_ = unix.Close(k.kq)
}

func (k *kernel) wake() error { return k.bell.ring(k.kq) }

// parks: nobody has measured whether it would gain anything here.
func (k *kernel) parks(on bool) error {
	if on {
		return errors.ErrUnsupported
	}
	return nil
}

func (k *kernel) add(fd int, tok Token) error {
	both := [2]kevent{
		{ident: uint64(fd), filter: unix.EVFILT_READ, flags: unix.EV_ADD | unix.EV_CLEAR, udata: uintptr(tok)},
		{ident: uint64(fd), filter: unix.EVFILT_WRITE, flags: unix.EV_ADD | unix.EV_CLEAR, udata: uintptr(tok)},
	}
	err := change(k.kq, both[:])
	if err != nil {
		// The first filter may have been taken: all or nothing.
		_ = k.remove(fd)
	}
	return err
}

// remove takes the filters one by one, because kevent stops at the first
// change that fails.
func (k *kernel) remove(fd int) error {
	rd := [1]kevent{{ident: uint64(fd), filter: unix.EVFILT_READ, flags: unix.EV_DELETE}}
	wr := [1]kevent{{ident: uint64(fd), filter: unix.EVFILT_WRITE, flags: unix.EV_DELETE}}
	rerr := change(k.kq, rd[:])
	werr := change(k.kq, wr[:])
	if rerr != nil {
		return rerr
	}
	return werr
}

func (k *kernel) wait(evs []Event, timeout time.Duration) (n int, woken bool, err error) {
	if len(k.raw) < len(evs) {
		k.raw = make([]kevent, len(evs))
	}
	var got int
	if set := k.alarm.set(timeout); set != nil {
		got, err = unix.Kevent(k.kq, carry(set), carry(k.raw[:len(evs)]), nil)
	} else {
		got, err = unix.Kevent(k.kq, nil, carry(k.raw[:len(evs)]), k.timespec(timeout))
	}
	if err != nil {
		// darwin returns ETIMEDOUT now and then (golang.org/issue/59679).
		if err == unix.EINTR || err == unix.ETIMEDOUT {
			return 0, false, errInterrupted
		}
		return 0, false, os.NewSyscallError("kevent", err)
	}
	for i := range k.raw[:got] {
		ev := &k.raw[i]
		if k.bell.rang(ev) {
			woken = true
			continue
		}
		if k.alarm.rang(ev) {
			continue // the time is over, or that of an earlier Wait was; Wait looks
		}
		evs[n] = Event{Token: Token(ev.udata), Ready: translate(ev)}
		n++
	}
	return n, woken, nil
}

// translate reads EV_EOF by filter. On the reading side the peer has shut its
// half. On the writing side our own half is shut, by whomever, also by our own
// shutdown(2), which is not a hangup; a pipe without a reader says it there.
// Either way both sides are told, as the runtime's netpoller does: some kernels
// report a closed pipe at one filter only. With an error pending, fflags is
// that error.
func translate(ev *kevent) (r Ready) {
	reading := ev.filter == unix.EVFILT_READ
	if reading {
		r = Readable
	} else {
		r = Writable
	}
	if ev.flags&unix.EV_EOF != 0 {
		r |= Readable | Writable
		if reading {
			r |= Hangup
		}
		if ev.fflags != 0 {
			r |= Failed
		}
	}
	if ev.flags&unix.EV_ERROR != 0 {
		r |= Failed | Readable | Writable
	}
	return r
}

// longest is what every kernel accepts: darwin refuses more. Wait sleeps the
// rest.
const longest = 1_000_000 * time.Second

func (k *kernel) timespec(timeout time.Duration) *unix.Timespec {
	if timeout < 0 {
		return nil
	}
	k.ts = unix.NsecToTimespec(int64(min(timeout, longest)))
	return &k.ts
}

// change registers or deletes. After EINTR the changes have been applied;
// making them again is harmless for EV_ADD, and for EV_DELETE "not there" then
// means done.
func change(kq int, evs []kevent) error {
	_, err := unix.Kevent(kq, carry(evs), nil, nil)
	for err == unix.EINTR {
		_, err = unix.Kevent(kq, carry(evs), nil, nil)
		if err == unix.ENOENT && evs[0].flags&unix.EV_DELETE != 0 {
			err = nil
		}
	}
	return os.NewSyscallError("kevent", err)
}

// carry is the same memory under the type that x/sys wants. Nobody may read or
// copy the elements through it.
func carry(evs []kevent) []unix.Kevent_t {
	return unsafe.Slice((*unix.Kevent_t)(unsafe.Pointer(&evs[0])), len(evs))
}
