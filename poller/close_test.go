//go:build unix

package poller

import (
	"errors"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestCloseIsIdempotentAndFinal(t *testing.T) {
	each(t, func(t *testing.T, p *Poller) {
		s := newPair(t)
		s.add(p, 1)
		ok(t, p.Close())
		ok(t, p.Close())
		var evs [1]Event
		_, forever := p.Wait(evs[:], -1)
		_, look := p.Wait(evs[:], 0)
		for name, err := range map[string]error{
			"Add":      p.Add(s.ours, 2),
			"Remove":   p.Remove(s.ours),
			"Wake":     p.Wake(),
			"Wait(-1)": forever,
			"Wait(0)":  look,
		} {
			if !errors.Is(err, ErrClosed) {
				t.Errorf("%s after Close: %v, want ErrClosed", name, err)
			}
		}
		s.say(s.ours, "still open")
	})
}

func TestCloseEndsWait(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		for _, timeout := range []time.Duration{-1, time.Hour} {
			p := open(t, k)
			ended := make(chan error)
			inside := make(chan struct{})
			go func() {
				var evs [1]Event
				close(inside)
				_, err := p.Wait(evs[:], timeout)
				ended <- err
			}()
			<-inside
			ok(t, p.Close())
			if err := <-ended; !errors.Is(err, ErrClosed) {
				t.Fatalf("Wait(%v): %v, want ErrClosed", timeout, err)
			}
		}
	})
}

// A pending wake-up must not hide the one of Close.
func TestCloseEndsWaitAfterWake(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		for range 200 {
			p := open(t, k)
			ended := make(chan error)
			go func() {
				var evs [1]Event
				for {
					if _, err := p.Wait(evs[:], -1); err != nil {
						ended <- err
						return
					}
				}
			}()
			ok(t, p.Wake())
			ok(t, p.Close())
			if err := <-ended; !errors.Is(err, ErrClosed) {
				t.Fatalf("Wait: %v, want ErrClosed", err)
			}
		}
	})
}

// Whoever is between "it is open" and the system call keeps the descriptors
// from being closed.
func TestLastOneOutCloses(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		p := open(t, k)
		if !p.enter() || p.enterWait() != nil {
			t.Fatal("a fresh poller lets nobody in")
		}
		ok(t, p.Close())
		if p.enter() {
			t.Fatal("a closed poller lets somebody in")
		}
		p.leave()
		if err := p.kernel.wake(); err != nil {
			t.Fatalf("closed while somebody was in Wait: %v", err)
		}
		if !p.leaveWait() {
			t.Fatal("Wait did not hear of Close")
		}
		if err := p.kernel.wake(); !errors.Is(err, unix.EBADF) {
			t.Fatalf("still open when everybody has left: %v", err)
		}
	})
}

// The same with everybody at once. A Wake that came too late would write into
// the file that got the number next: here sockets, whose peers then have
// something to read.
func TestCloseUnderFire(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		for range 150 {
			s := newPair(t)
			p := open(t, k)
			var all sync.WaitGroup
			for _, use := range []func() error{
				p.Wake,
				p.Wake,
				func() error { _, err := p.Wait(make([]Event, 1), time.Microsecond); return err },
				func() error { return p.Add(s.ours, 1) },
				func() error { return p.Remove(s.ours) },
			} {
				all.Go(func() { untilClosed(t, use) })
			}
			ok(t, p.Close())
			victims := []*pair{newPair(t), newPair(t), newPair(t)}
			all.Wait()
			for _, v := range victims {
				if n := v.drain(v.ours) + v.drain(v.theirs); n != 0 {
					t.Fatalf("%d bytes were written into a stranger's socket", n)
				}
				v.closeOurs()
				v.closeTheirs()
			}
			s.closeOurs()
			s.closeTheirs()
		}
	})
}

// untilClosed calls use until it says ErrClosed. Adding and removing the same
// descriptor from two goroutines may also find it there, or not.
func untilClosed(t *testing.T, use func() error) {
	for {
		switch err := use(); {
		case errors.Is(err, ErrClosed):
			return
		case err == nil, errors.Is(err, unix.EEXIST), errors.Is(err, unix.ENOENT):
		default:
			t.Error(err)
			return
		}
	}
}
