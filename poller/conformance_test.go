//go:build unix

package poller

import (
	"errors"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// contract is what every backend promises about descriptors. Waiting, waking
// and closing have theirs in wait_test.go, wake_test.go and close_test.go.
var contract = []struct {
	name string
	test func(*testing.T, *Poller)
}{
	{"FreshSocketIsWritable", freshSocketIsWritable},
	{"BytesMakeReadable", bytesMakeReadable},
	{"EdgeComesOnce", edgeComesOnce},
	{"DrainingArmsReading", drainingArmsReading},
	{"RoomArmsWriting", roomArmsWriting},
	{"HalfCloseLeavesTheWayBack", halfCloseLeavesTheWayBack},
	{"FullCloseTellsBothSides", fullCloseTellsBothSides},
	{"ResetFails", resetFails},
	{"ConnectRefusedFails", connectRefusedFails},
	{"ConnectDoneIsWritable", connectDoneIsWritable},
	{"PipeWithoutReaderTellsTheWriter", pipeWithoutReaderTellsTheWriter},
	{"TokenComesBack", tokenComesBack},
	{"WakeTokenIsRefused", wakeTokenIsRefused},
	{"ClosedTenantIsForgotten", closedTenantIsForgotten},
	{"RemoveSilences", removeSilences},
	{"RemovedCanBeAddedAgain", removedCanBeAddedAgain},
	{"StrangersAreErrors", strangersAreErrors},
}

func TestContract(t *testing.T) {
	for _, c := range contract {
		t.Run(c.name, func(t *testing.T) { each(t, c.test) })
	}
}

func freshSocketIsWritable(t *testing.T, p *Poller) {
	s := newPair(t)
	ok(t, p.Add(s.ours, 1))
	if got := await(t, p, 1, Writable); got != Writable {
		t.Fatalf("fresh socket is %v", got)
	}
	quiet(t, p)
}

func bytesMakeReadable(t *testing.T, p *Poller) {
	for _, s := range []*pair{newPair(t), newTCP(t)} {
		s.add(p, 1)
		s.say(s.theirs, "x")
		if got := await(t, p, 1, Readable); got.Has(Hangup | Failed) {
			t.Fatalf("a byte made %v", got)
		}
		s.closeOurs()
	}
}

func edgeComesOnce(t *testing.T, p *Poller) {
	s := newPair(t)
	s.add(p, 1)
	s.say(s.theirs, "x")
	await(t, p, 1, Readable)
	quiet(t, p) // the byte is still there, and that is not news
}

func drainingArmsReading(t *testing.T, p *Poller) {
	s := newPair(t)
	s.add(p, 1)
	for range 3 {
		s.say(s.theirs, "x")
		await(t, p, 1, Readable)
		if n := s.drain(s.ours); n != 1 {
			t.Fatalf("drained %d bytes", n)
		}
		quiet(t, p)
	}
}

func roomArmsWriting(t *testing.T, p *Poller) {
	s := newPair(t)
	s.add(p, 1)
	for range 3 {
		s.fill(s.ours)
		quiet(t, p)
		s.drain(s.theirs)
		await(t, p, 1, Writable)
	}
}

func halfCloseLeavesTheWayBack(t *testing.T, p *Poller) {
	for _, s := range []*pair{newPair(t), newTCP(t)} {
		s.add(p, 1)
		s.say(s.theirs, "last words")
		ok(t, unix.Shutdown(s.theirs, unix.SHUT_WR))
		if got := await(t, p, 1, Readable|Hangup); got.Has(Failed) {
			t.Fatalf("half-close made %v", got)
		}
		if text := s.hear(s.ours); text != "last words" {
			t.Fatalf("read %q", text)
		}
		if text := s.hear(s.ours); text != "" {
			t.Fatalf("read %q after the end", text)
		}
		s.say(s.ours, "answer")
		ok(t, unix.SetNonblock(s.theirs, false))
		if text := s.hear(s.theirs); text != "answer" {
			t.Fatalf("peer read %q", text)
		}
		s.closeOurs()
	}
}

func fullCloseTellsBothSides(t *testing.T, p *Poller) {
	s := newPair(t)
	s.add(p, 1)
	s.closeTheirs()
	await(t, p, 1, Readable|Writable|Hangup)
	if text := s.hear(s.ours); text != "" {
		t.Fatalf("read %q", text)
	}
	if _, err := unix.Write(s.ours, []byte("x")); err != unix.EPIPE {
		t.Fatalf("write: %v, want EPIPE", err)
	}
}

func resetFails(t *testing.T, p *Poller) {
	s := newTCP(t)
	s.add(p, 1)
	ok(t, unix.SetsockoptLinger(s.theirs, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
	s.closeTheirs()
	await(t, p, 1, Readable|Writable|Hangup|Failed)
	wantSocketError(t, s.ours, unix.ECONNRESET)
}

func wantSocketError(t *testing.T, fd int, want unix.Errno) {
	t.Helper()
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	ok(t, err)
	if unix.Errno(code) != want {
		t.Fatalf("SO_ERROR is %v, want %v", unix.Errno(code), want)
	}
}

// dial starts a connect and returns with it in progress, or done.
func dial(t *testing.T, to unix.Sockaddr) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	ok(t, err)
	t.Cleanup(func() { ok(t, unix.Close(fd)) })
	ok(t, unix.SetNonblock(fd, true))
	err = unix.Connect(fd, to)
	if err == unix.EINPROGRESS {
		err = nil
	}
	return fd, err
}

func connectRefusedFails(t *testing.T, p *Poller) {
	deaf, addr := bound(t) // the port is taken, and nobody listens
	defer unix.Close(deaf)
	fd, err := dial(t, addr)
	if err == unix.ECONNREFUSED {
		t.Skip("this kernel refuses at once")
	}
	ok(t, err)
	ok(t, p.Add(fd, 1))
	await(t, p, 1, Readable|Writable|Failed)
	wantSocketError(t, fd, unix.ECONNREFUSED)
}

func connectDoneIsWritable(t *testing.T, p *Poller) {
	l, addr := listen(t)
	defer unix.Close(l)
	ok(t, unix.SetNonblock(l, true))
	ok(t, p.Add(l, 1))
	fd, err := dial(t, addr)
	ok(t, err)
	await(t, p, 1, Readable) // somebody to accept
	ok(t, p.Add(fd, 2))
	if got := await(t, p, 2, Writable); got.Has(Failed | Hangup) {
		t.Fatalf("connected socket is %v", got)
	}
	wantSocketError(t, fd, 0)
}

func pipeWithoutReaderTellsTheWriter(t *testing.T, p *Poller) {
	var ends [2]int
	ok(t, unix.Pipe(ends[:]))
	s := adopt(t, ends[1], ends[0])
	s.add(p, 1)
	s.closeTheirs()
	await(t, p, 1, Writable)
	if _, err := unix.Write(s.ours, []byte("x")); err != unix.EPIPE {
		t.Fatalf("write: %v, want EPIPE", err)
	}
}

func tokenComesBack(t *testing.T, p *Poller) {
	for _, tok := range []Token{
		0, 1, 1 << 31, 1 << 32, 1 << 63, wakeToken - 1,
		MakeToken(0xffffffff, 0xfffffffe), MakeToken(0, 0xffffffff),
		MakeToken(0x00123456, 0xc0), // what the collector could take for an address in the heap
	} {
		s := newPair(t)
		ok(t, p.Add(s.ours, tok))
		runtime.GC()
		await(t, p, tok, Writable)
		runtime.GC()
		s.say(s.theirs, "x")
		await(t, p, tok, Readable)
		s.closeOurs()
	}
}

func wakeTokenIsRefused(t *testing.T, p *Poller) {
	s := newPair(t)
	if err := p.Add(s.ours, ^Token(0)); !errors.Is(err, ErrReserved) {
		t.Fatalf("Add: %v, want ErrReserved", err)
	}
	quiet(t, p)
}

// The same number is given out again and again, with an edge pending each time.
// Only the last tenant is heard of.
func closedTenantIsForgotten(t *testing.T, p *Poller) {
	last := MakeToken(7, 50)
	for gen := uint32(1); gen <= last.Gen(); gen++ {
		s := newPair(t)
		ok(t, p.Add(s.ours, MakeToken(7, gen)))
		s.say(s.theirs, "x")
		if gen < last.Gen() {
			s.closeOurs()
			s.closeTheirs()
		}
	}
	await(t, p, last, Readable|Writable)
	quiet(t, p)
}

func removeSilences(t *testing.T, p *Poller) {
	s := newPair(t)
	ok(t, p.Add(s.ours, 1))
	ok(t, p.Remove(s.ours)) // with an edge pending
	quiet(t, p)
	s.say(s.theirs, "x")
	quiet(t, p)
}

func removedCanBeAddedAgain(t *testing.T, p *Poller) {
	s := newPair(t)
	s.add(p, 1)
	ok(t, p.Remove(s.ours))
	s.say(s.theirs, "x")
	ok(t, p.Add(s.ours, 2))
	await(t, p, 2, Readable|Writable)
}

func strangersAreErrors(t *testing.T, p *Poller) {
	s := newPair(t)
	if err := p.Remove(s.ours); !errors.Is(err, unix.ENOENT) {
		t.Errorf("Remove of a stranger: %v, want ENOENT", err)
	}
	if err := p.Add(-1, 1); !errors.Is(err, unix.EBADF) {
		t.Errorf("Add(-1): %v, want EBADF", err)
	}
	if err := p.Remove(-1); !errors.Is(err, unix.EBADF) {
		t.Errorf("Remove(-1): %v, want EBADF", err)
	}
	quiet(t, p)
}
