package conn

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/weir-go/weir/internal/sock"
)

// What WaitRead finds out is Read's to return: a reset that it looked at must
// not become an end of stream, which would make half a message a whole one.
func TestWaitReadLeavesTheError(t *testing.T) {
	t.Skip("sock.Waiting takes the pending error, being a read: it should be a poll(2)")
	r := newRig(t, Config{})
	var b *Blocking
	_, peer := r.tcp(Options{}, func(c *Conn) Handler { b = c.Block(); return nil })
	b.r.set(edge) // as a Read leaves it that has filled its buffer
	sock.SetLinger(peer, 0)
	r.closePeer(peer)
	soon(t, "the reset", func() bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(b.fd), Events: unix.POLLIN}}, 0)
		return n == 1 && err == nil
	})
	if err := b.WaitRead(); err != nil {
		t.Fatal(err)
	}
	if n, err := b.Read(make([]byte, 10)); !isErrno(err, syscall.ECONNRESET) {
		t.Errorf("read %d, %v", n, err)
	}
	b.Close()
}
