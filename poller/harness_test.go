//go:build unix

package poller

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weir-go/weir/internal/leak"
)

// patience bounds every Wait that is expected to see something. It is only
// ever spent by a test that fails.
const patience = 20 * time.Second

// kind is one way in which a poller of this system can wait. The whole contract
// runs on each.
type kind struct {
	name string
	set  func(*Poller)
}

// each runs test on a fresh poller of every kind and checks that nothing of it
// is left open.
func each(t *testing.T, test func(*testing.T, *Poller)) {
	eachKind(t, func(t *testing.T, k kind) { test(t, open(t, k)) })
}

// eachKind is for tests that need more than one poller.
func eachKind(t *testing.T, test func(*testing.T, kind)) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			leak.FDs(t)
			test(t, k)
		})
	}
}

func open(t testing.TB, k kind) *Poller {
	t.Helper()
	p, err := Open()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	ok(t, err)
	k.set(p)
	t.Cleanup(func() { ok(t, p.Close()) })
	return p
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pair is two ends of a stream. Ours is watched, theirs plays the peer.
type pair struct {
	t            testing.TB
	ours, theirs int
}

func newPair(t testing.TB) *pair {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	ok(t, err)
	return adopt(t, fds[0], fds[1])
}

// newTCP is a pair over loopback: what a socketpair cannot do is to be reset.
func newTCP(t testing.TB) *pair {
	t.Helper()
	l, addr := listen(t)
	defer unix.Close(l)
	theirs, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	ok(t, err)
	ok(t, unix.Connect(theirs, addr))
	ours, _, err := unix.Accept(l)
	ok(t, err)
	return adopt(t, ours, theirs)
}

// listen opens a blocking listener on a free port of the loopback.
func listen(t testing.TB) (int, unix.Sockaddr) {
	t.Helper()
	fd, addr := bound(t)
	ok(t, unix.Listen(fd, 8))
	return fd, addr
}

// bound is a socket with a port of its own that does not listen.
func bound(t testing.TB) (int, unix.Sockaddr) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	ok(t, err)
	ok(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	addr, err := unix.Getsockname(fd)
	ok(t, err)
	return fd, addr
}

func adopt(t testing.TB, ours, theirs int) *pair {
	ok(t, unix.SetNonblock(ours, true))
	ok(t, unix.SetNonblock(theirs, true))
	s := &pair{t, ours, theirs}
	t.Cleanup(func() { s.closeOurs(); s.closeTheirs() })
	return s
}

func (s *pair) closeOurs()   { closeFD(s.t, &s.ours) }
func (s *pair) closeTheirs() { closeFD(s.t, &s.theirs) }

func closeFD(t testing.TB, fd *int) {
	if *fd >= 0 {
		ok(t, unix.Close(*fd))
		*fd = -1
	}
}

// say writes to fd, all of it.
func (s *pair) say(fd int, text string) {
	s.t.Helper()
	if n, err := unix.Write(fd, []byte(text)); n != len(text) || err != nil {
		s.t.Fatalf("write: %d, %v", n, err)
	}
}

// hear reads once; an empty string is an end of file.
func (s *pair) hear(fd int) string {
	s.t.Helper()
	var b [64]byte
	n, err := unix.Read(fd, b[:])
	ok(s.t, err)
	return string(b[:n])
}

// drain reads until there is nothing more for now.
func (s *pair) drain(fd int) (total int) {
	s.t.Helper()
	var b [4096]byte
	for {
		n, err := unix.Read(fd, b[:])
		if err == unix.EAGAIN {
			return total
		}
		ok(s.t, err)
		if n == 0 {
			s.t.Fatal("end of file while draining")
		}
		total += n
	}
}

// fill writes until the kernel takes no more.
func (s *pair) fill(fd int) {
	s.t.Helper()
	var b [4096]byte
	for {
		if _, err := unix.Write(fd, b[:]); err == unix.EAGAIN {
			return
		} else {
			ok(s.t, err)
		}
	}
}

// add registers our end and takes the first edge away.
func (s *pair) add(p *Poller, tok Token) {
	s.t.Helper()
	ok(s.t, p.Add(s.ours, tok))
	await(s.t, p, tok, Writable)
}

// await waits until tok has been reported with every bit of want, in however
// many events, and returns all bits that came.
func await(t testing.TB, p *Poller, tok Token, want Ready) (got Ready) {
	t.Helper()
	evs := make([]Event, 16)
	for got&want != want {
		n, err := p.Wait(evs, patience)
		ok(t, err)
		if n == 0 {
			t.Fatalf("got %v, still waiting for %v", got, want)
		}
		for _, ev := range evs[:n] {
			if ev.Token != tok {
				t.Fatalf("event for token %#x, want %#x", uint64(ev.Token), uint64(tok))
			}
			got |= ev.Ready
		}
	}
	return got
}

// quiet checks that there is nothing to report now. On a socketpair the kernel
// has queued what there is when write(2) returns, so one look is a proof.
func quiet(t testing.TB, p *Poller) {
	t.Helper()
	var evs [4]Event
	n, err := p.Wait(evs[:], 0)
	ok(t, err)
	if n != 0 {
		t.Fatalf("events out of nothing: %v", evs[:n])
	}
}
