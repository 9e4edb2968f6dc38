package timer

import (
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weir-go/weir/poller"
)

const knowsSuspend = true

// A bell is a timerfd on the wall clock that never comes due, armed to be
// cancelled when the clock is set: TFD_TIMER_CANCEL_ON_SET of timerfd_create(2).
// Resuming from suspend sets it, too.
type bell struct {
	fd int
}

// distant is an instant that does not come, in seconds since 1970; where those
// have 32 bits it is the last one there is.
const distant = min(1<<33, math.MaxInt)

func (b *bell) open(p *poller.Poller) (err error) {
	b.fd, err = unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("timerfd_create", err)
	}
	at := unix.ItimerSpec{Value: unix.Timespec{Sec: distant}}
	err = unix.TimerfdSettime(b.fd, unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, &at, nil)
	if err != nil {
		_ = unix.Close(b.fd)
		return os.NewSyscallError("timerfd_settime", err)
	}
	if err = p.Add(b.fd, 0); err != nil {
		_ = unix.Close(b.fd)
	}
	return err
}

// rang reads the cancellation, which arms the timer for the next one.
func (b *bell) rang() bool {
	var expirations [8]byte
	_, err := unix.Read(b.fd, expirations[:])
	return err == unix.ECANCELED
}

func (b *bell) close() { _ = unix.Close(b.fd) }

// suspended is how long the machine was, since it was started.
func suspended() time.Duration {
	return largest(func() time.Duration {
		var all, awake unix.Timespec
		if unix.ClockGettime(unix.CLOCK_BOOTTIME, &all) != nil || unix.ClockGettime(unix.CLOCK_MONOTONIC, &awake) != nil {
			return 0
		}
		return time.Duration(all.Nano() - awake.Nano()).Round(time.Millisecond)
	})
}
