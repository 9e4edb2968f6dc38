//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package sock

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// maxNoise is more than any two buffers take.
const maxNoise = 64 << 20

var allNoise = sync.OnceValue(func() []byte {
	p := make([]byte, 0, maxNoise)
	for i := uint64(1); len(p) < maxNoise; i++ {
		// Odd multiples do not repeat, so a lost or doubled piece shows.
		p = binary.LittleEndian.AppendUint64(p, i*0x9e3779b97f4a7c15)
	}
	return p
})

// noise is n bytes that tell their place. Not to be changed.
func noise(n int) []byte { return allNoise()[:n:n] }

// sendsEach says that Sendv is made of Sends here.
const sendsEach = raceEnabled || runtime.GOOS == "darwin" || runtime.GOOS == "openbsd"

// pieces cuts p at sizes, the rest last; empty pieces are among them.
func pieces(p []byte, sizes ...int) []Iovec {
	var iov []Iovec
	for _, n := range append(sizes, len(p)) {
		n = min(n, len(p))
		var v Iovec
		v.Set(p[:n])
		iov, p = append(iov, v), p[n:]
	}
	return iov
}

func TestRecvNothingThere(t *testing.T) {
	a, b := pairing(t)
	if n, e := Recv(a, make([]byte, 8)); n != 0 || e != syscall.EAGAIN {
		t.Errorf("%d, %v", n, e)
	}
	sendAll(t, b, []byte("abc"))
	if n, e := Recv(a, nil); n != 0 || e != 0 {
		t.Errorf("into nothing: %d, %v", n, e)
	}
	if got := recvAll(t, a, 3); string(got) != "abc" {
		t.Errorf("%q", got)
	}
}

func TestBadDescriptor(t *testing.T) {
	p := make([]byte, 1)
	if n, e := Recv(-1, p); n != 0 || e != syscall.EBADF {
		t.Errorf("Recv: %d, %v", n, e)
	}
	if n, e := Send(-1, p); n != 0 || e != syscall.EBADF {
		t.Errorf("Send: %d, %v", n, e)
	}
	if n, e := Sendv(-1, pieces(p)); n != 0 || e != syscall.EBADF {
		t.Errorf("Sendv: %d, %v", n, e)
	}
	if n, e := Accept(-1, nil); n != -1 || e != syscall.EBADF {
		t.Errorf("Accept: %d, %v", n, e)
	}
}

// Sending to a peer that does not read ends in EAGAIN, and every byte that was
// taken arrives in order.
func TestSendUntilFull(t *testing.T) {
	sendv := func(fd int, p []byte) (int, syscall.Errno) {
		return Sendv(fd, pieces(p, 1, 0, 1000, 7, 60_000))
	}
	for name, send := range map[string]func(int, []byte) (int, syscall.Errno){"Send": Send, "Sendv": sendv} {
		for _, url := range urls(t) {
			t.Run(name+" "+url, func(t *testing.T) {
				checkFDs(t)
				c, s := connected(t, url)
				all := noise(maxNoise)
				sent, short := 0, false
				for sent < len(all) {
					p := all[sent:min(len(all), sent+MaxIO-1)]
					n, e := send(c, p)
					if e == syscall.EAGAIN {
						break
					}
					if e != 0 || n == 0 {
						t.Fatalf("%d, %v", n, e)
					}
					short = short || n < len(p)
					sent += n
				}
				if sent == len(all) || !short {
					t.Fatalf("sent %d of %d, a short count: %v", sent, len(all), short)
				}
				if got := recvAll(t, s, sent); !bytes.Equal(got, all[:sent]) {
					t.Error("the bytes differ")
				}
				if n, e := Recv(s, make([]byte, 1)); e != syscall.EAGAIN {
					t.Errorf("more than was sent: %d, %v", n, e)
				}
			})
		}
	}
}

func TestSendvKeepsOrder(t *testing.T) {
	for _, url := range urls(t) {
		c, s := connected(t, url)
		all := noise(10_000)
		iov := pieces(all, 0, 1, 2, 3, 0, 500, 4096, 1, 0)
		before := slices.Clone(iov)
		if n, e := Sendv(c, iov); n != len(all) || e != 0 {
			t.Fatalf("%d, %v", n, e)
		}
		if !slices.Equal(iov, before) {
			t.Error("the pieces were changed")
		}
		if got := recvAll(t, s, len(all)); !bytes.Equal(got, all) {
			t.Errorf("%s: the bytes differ", url)
		}
	}
}

func TestSendvNothing(t *testing.T) {
	a, b := pairing(t)
	for _, iov := range [][]Iovec{nil, {}, make([]Iovec, 3)} {
		if n, e := Sendv(a, iov); n != 0 || e != 0 {
			t.Errorf("%d pieces: %d, %v", len(iov), n, e)
		}
	}
	if n, e := Recv(b, make([]byte, 1)); e != syscall.EAGAIN {
		t.Errorf("%d, %v", n, e)
	}
}

func TestSendvCutsTheList(t *testing.T) {
	a, b := pairing(t)
	all := noise(3000)
	var iov []Iovec
	for i := range all {
		var v Iovec
		v.Set(all[i : i+1])
		iov = append(iov, v)
	}
	var got []byte
	for len(iov) > 0 {
		n, e := Sendv(a, iov)
		// One call for each piece fills the socket sooner, see io_race.go.
		short := sendsEach && n > 0 && n < MaxIovecs
		if want := min(len(iov), MaxIovecs); n != want && !short || e != 0 {
			t.Fatalf("%d, %v, want %d", n, e, want)
		}
		got, iov = append(got, recvAll(t, b, n)...), iov[n:]
	}
	if !bytes.Equal(got, all) {
		t.Error("the bytes differ")
	}
}

func TestGather(t *testing.T) {
	for _, c := range []struct {
		sizes []int
		want  int
	}{
		{nil, 0},
		{[]int{0}, 1},
		{[]int{MaxIO}, 1},
		{[]int{MaxIO, 0, 0}, 3},
		{[]int{MaxIO, 1}, 1},
		{[]int{MaxIO + 1}, 0},
		{[]int{MaxIO - 1, 1, 1}, 2},
		{[]int{0, MaxIO + 1}, 1},
		{make([]int, MaxIovecs+1), MaxIovecs},
	} {
		iov := make([]Iovec, len(c.sizes))
		for i, n := range c.sizes {
			iov[i].Set(make([]byte, n))
			if iov[i].Len() != n || len(iov[i].Bytes()) != n {
				t.Fatalf("%d bytes: %d", n, iov[i].Len())
			}
		}
		if got := gather(iov); got != c.want {
			t.Errorf("%v: %d, want %d", c.sizes, got, c.want)
		}
	}
}

// A peer that is gone is an error of the call and no signal. The second signal
// is raised for comparison: it is delivered after the first would have been.
func TestNoSigpipe(t *testing.T) {
	for name, send := range map[string]func(int, []byte) (int, syscall.Errno){
		"Send":  Send,
		"Sendv": func(fd int, p []byte) (int, syscall.Errno) { return Sendv(fd, pieces(p, 2)) },
	} {
		p, err := Pair()
		must(t, err)
		closing(t, p[0])
		must(t, Close(p[1]))
		signals := make(chan os.Signal, 8)
		signal.Notify(signals, unix.SIGPIPE, unix.SIGWINCH)
		n, e := send(p[0], []byte("hello"))
		must(t, unix.Kill(os.Getpid(), unix.SIGWINCH))
		first := <-signals
		signal.Stop(signals)
		if n != 0 || e != syscall.EPIPE {
			t.Errorf("%s: %d, %v", name, n, e)
		}
		// Under the race detector write(2) is used, see io_race.go.
		if first != unix.SIGWINCH && !raceEnabled {
			t.Errorf("%s: %v", name, first)
		}
	}
}

func TestHotPathAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	a, b := pairing(t)
	const runs = 100
	l, addr := listening(t, "127.0.0.1:0", ListenConfig{})
	for range runs + 1 {
		dialing(t, addr)
	}
	ready(t, l, unix.POLLIN)
	var peer Peer
	accepted := make([]int, 0, 2*runs)
	buf, iov := make([]byte, 64), make([]Iovec, 2)
	for name, f := range map[string]func(){
		"Accept": func() {
			fd, e := Accept(l, &peer)
			if e != 0 {
				t.Fatal(e)
			}
			accepted = append(accepted, fd)
		},
		"Send and Recv": func() {
			var stack [64]byte // must not move to the heap
			Send(a, stack[:])
			if n, _ := Recv(b, buf); n != 64 {
				t.Fatal(n)
			}
		},
		"Recv EAGAIN": func() { Recv(b, buf) },
		"Sendv": func() {
			iov[0].Set(buf[:32])
			iov[1].Set(buf[32:])
			Sendv(a, iov)
			if n, _ := Recv(b, buf); n != 64 {
				t.Fatal(n)
			}
		},
	} {
		if got := testing.AllocsPerRun(runs, f); got != 0 && (name != "Accept" || runtime.GOOS == "linux") {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
	for _, fd := range accepted {
		must(t, Close(fd))
	}
	if !peer.IsValid() {
		t.Error("no peer")
	}
}
