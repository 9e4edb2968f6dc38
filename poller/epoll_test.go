//go:build linux

package poller

import (
	"encoding/binary"
	"math"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMillisRoundsUp(t *testing.T) {
	for d, want := range map[time.Duration]int{
		-1:                          -1,
		math.MinInt64:               -1,
		1:                           1,
		time.Microsecond:            1,
		time.Millisecond - 1:        1,
		time.Millisecond:            1,
		time.Millisecond + 1:        2,
		2 * time.Millisecond:        2,
		1500 * time.Microsecond:     2,
		time.Hour:                   3600_000,
		math.MaxInt64:               math.MaxInt32,
		math.MaxInt32 * time.Second: math.MaxInt32,
	} {
		if got := millis(d); got != want {
			t.Errorf("millis(%v) = %d, want %d", d, got, want)
		}
	}
}

func TestTranslate(t *testing.T) {
	for e, want := range map[uint32]Ready{
		0:                                    0,
		unix.EPOLLIN:                         Readable,
		unix.EPOLLOUT:                        Writable,
		unix.EPOLLIN | unix.EPOLLOUT:         Readable | Writable,
		unix.EPOLLRDHUP:                      Readable | Hangup,
		unix.EPOLLRDHUP | unix.EPOLLOUT:      Readable | Writable | Hangup,
		unix.EPOLLHUP:                        Readable | Writable | Hangup,
		unix.EPOLLERR:                        Readable | Writable | Failed,
		unix.EPOLLERR | unix.EPOLLHUP:        Readable | Writable | Hangup | Failed,
		unix.EPOLLIN | unix.EPOLLPRI:         Readable,
		unix.EPOLLOUT | unix.EPOLLWRBAND | 1: Readable | Writable,
	} {
		if got := translate(e); got != want {
			t.Errorf("translate(%#x) = %v, want %v", e, got, want)
		}
	}
}

// The eventfd counts the writes, so it can tell how many system calls the
// wake-ups cost.
func TestCoalescedWakesDoNotWrite(t *testing.T) {
	each(t, func(t *testing.T, p *Poller) {
		var evs [1]Event
		const cycles = 3
		for range cycles {
			for range 50 {
				ok(t, p.Wake())
			}
			_, err := p.Wait(evs[:], -1)
			ok(t, err)
		}
		var count [8]byte
		_, err := unix.Read(p.kernel.bell, count[:])
		ok(t, err)
		if n := binary.NativeEndian.Uint64(count[:]); n != cycles {
			t.Fatalf("%d writes for %d cycles", n, cycles)
		}
	})
}

// Signals neither end a Wait that has no end nor shorten one that has. The
// signal is one that the Go runtime takes and ignores.
func TestSignalsDoNotShortenWait(t *testing.T) {
	each(t, func(t *testing.T, p *Poller) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		waiter := unix.Gettid()
		var evs [1]Event

		const timeout = 20 * time.Millisecond
		stop := storm(t, waiter, math.MaxInt, func() {})
		began := time.Now()
		n, err := p.Wait(evs[:], timeout)
		took := time.Since(began)
		stop()
		ok(t, err)
		if n != 0 || took < timeout {
			t.Errorf("Wait(%v) returned %d events after %v", timeout, n, took)
		}

		stop = storm(t, waiter, 200, func() { ok(t, p.Wake()) })
		_, err = p.Wait(evs[:], -1)
		stop()
		ok(t, err)
		if p.Stats().Wakes != 1 {
			t.Error("a signal ended a Wait without end")
			_, _ = p.Wait(evs[:], patience)
		}
	})
}

// storm sends signals to a thread, a number of them or until it is stopped, and
// then calls after.
func storm(t *testing.T, thread, signals int, after func()) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		defer after()
		for range signals {
			select {
			case <-quit:
				return
			default:
			}
			if err := unix.Tgkill(os.Getpid(), thread, unix.SIGURG); err != nil {
				t.Error(err)
				return
			}
			runtime.Gosched()
		}
	}()
	return func() { close(quit); <-done }
}

// Why Remove is there: the kernel watches the open file, not the number. Closed
// while a dup lives, it goes on reporting, and its number is no longer a way to
// it. All that helps then is that the token is known to be of yesterday.
func TestClosedButDupedGoesOn(t *testing.T) {
	each(t, func(t *testing.T, p *Poller) {
		s := newPair(t)
		old, today := MakeToken(7, 1), MakeToken(7, 2)
		s.add(p, old)
		dup, err := unix.Dup(s.ours)
		ok(t, err)
		defer unix.Close(dup)
		s.closeOurs()
		s.say(s.theirs, "x")
		if got := await(t, p, old, Readable); got.Has(Hangup) {
			t.Fatalf("duped file is %v", got)
		}

		next := newPair(t)
		next.add(p, today)
		s.say(s.theirs, "x") // the ghost
		await(t, p, old, Readable)
		next.say(next.theirs, "x")
		await(t, p, today, Readable)
	})
}
