package conn

import (
	"errors"
	"math"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-go/weir/internal/sock"
	"github.com/weir-go/weir/timer"
)

// A deadline ends a call that waits already, whether it lies ahead or behind.
func TestDeadlineWakes(t *testing.T) {
	rt := running(t, Config{Loops: 1})
	for name, call := range map[string]func(*Blocking) error{
		"read":     readOnce,
		"waitread": (*Blocking).WaitRead,
		"rawread":  func(b *Blocking) error { return b.RawRead(func(uintptr) bool { return false }) },
		"write":    func(b *Blocking) error { _, err := b.Write(make([]byte, 8<<20)); return err },
		"writev":   func(b *Blocking) error { _, err := b.Writev([][]byte{block, make([]byte, 8<<20)}); return err },
		"pooled":   func(b *Blocking) error { _, err := b.ReadPooled(new(BufferPool)); return err },
	} {
		for when, deadline := range map[string]func() time.Time{
			"past": past, "soon": func() time.Time { return time.Now().Add(20 * time.Millisecond) },
		} {
			t.Run(name+" "+when, func(t *testing.T) {
				b, _ := blockingPair(t, rt, Options{})
				ended := make(chan error, 1)
				go func() { ended <- call(b) }()
				soon(t, "the call waits", func() bool { return (b.r.state.Load()|b.w.state.Load())&parked != 0 })
				if err := b.SetDeadline(deadline()); err != nil {
					t.Fatal(err)
				}
				if err := receive(t, "the call's end", ended); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("ended with %v", err)
				}
				if err := readOnce(b); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("a call behind the deadline: %v", err)
				}
			})
		}
	}
}

// A deadline that was put off does not end a call, one that was removed is
// gone, and after one has passed a new one lets calls through.
func TestDeadlineMoves(t *testing.T) {
	rt := running(t, Config{Loops: 1})
	b, peer := blockingPair(t, rt, Options{})
	b.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	b.SetReadDeadline(later())
	ended := make(chan error, 1)
	go func() { ended <- readOnce(b) }()
	// The other direction's deadline passes meanwhile: by then the first one
	// of this direction would have.
	b.SetWriteDeadline(time.Now().Add(60 * time.Millisecond))
	soon(t, "the write deadline", func() bool { return b.w.state.Load()&expired != 0 })
	if len(ended) > 0 {
		t.Fatal("a deadline that was put off has passed: ", <-ended)
	}
	peer.Write([]byte("x"))
	if err := receive(t, "Read", ended); err != nil {
		t.Error(err)
	}
	b.SetDeadline(past())
	if err := readOnce(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	b.SetDeadline(never())
	peer.Write([]byte("y"))
	if err := readOnce(b); err != nil {
		t.Error(err)
	}
	if _, err := b.Write([]byte("z")); err != nil {
		t.Error(err)
	}
}

// A deadline that comes and goes while a Write looks at it never makes it short
// without an error, nor an error of one that is whole.
func TestWriteIsNeverShort(t *testing.T) {
	rounds := 500_000
	if raceEnabled {
		rounds = 20_000
	}
	r := newRig(t, Config{})
	var b *Blocking
	_, peer := r.pair(Options{}, func(c *Conn) Handler { b = c.Block(); return nil })
	defer b.Close()
	over := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		for {
			select {
			case <-over:
				return
			default:
			}
			for range 100 {
				b.w.wake(expired) // as SetWriteDeadline does, but oftener
				b.w.clear(expired)
			}
		}
	})
	p, q := make([]byte, 4), make([]byte, 4096)
	for i := range rounds {
		var n int
		var err error
		if i%2 == 0 {
			n, err = b.Write(p)
		} else {
			var k int64
			k, err = b.Writev([][]byte{p[:1], p[1:]})
			n = int(k)
		}
		if (n < len(p)) != (err != nil) || err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("wrote %d of %d, %v", n, len(p), err)
			break
		}
		if i%64 == 0 {
			sock.Recv(peer, q) // there is always room
		}
	}
	close(over)
	within(t, "the other", all.Wait)
}

// TestInstant: a time of day, of whichever clock, is the same instant for the
// timers as Now would have been then, give or take what lies between two
// readings of the clock.
func TestInstant(t *testing.T) {
	check := func(t *testing.T) {
		for name, as := range map[string]func(time.Time) time.Time{
			"as it is":       func(u time.Time) time.Time { return u },
			"of no location": func(u time.Time) time.Time { return u.UTC() },
			"of the wall":    func(u time.Time) time.Time { return u.Round(0) },
		} {
			for _, d := range []time.Duration{0, time.Nanosecond, time.Hour, -time.Hour, 24 * 365 * time.Hour} {
				before := timer.Now()
				u := as(time.Now().Add(d))
				after := timer.Now()
				got := instant(u, after)
				if early, late := before.Add(d-time.Millisecond), after.Add(d+time.Second); got < early || got > late {
					t.Errorf("%s, in %v: %v after now", name, d, got.Sub(before))
				}
			}
		}
		now := timer.Now()
		if got := instant(time.Unix(1<<40, 0), now); got < now.Add(math.MaxInt64/2) {
			t.Errorf("an instant that is too far: %v", got)
		}
		if got := instant(time.Unix(-1<<40, 0), now); got > now {
			t.Errorf("an instant that is too long ago: %v", got)
		}
	}
	t.Run("here", check)
	t.Run("in a bubble", func(t *testing.T) { synctest.Test(t, check) })
}
