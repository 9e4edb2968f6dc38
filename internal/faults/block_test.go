//go:build linux && faults

package faults

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/await"
	"github.com/weir-go/weir/internal/leak"
	"github.com/weir-go/weir/internal/sock"
)

// TestBlockAfterLoss: what was accepted on the callback face is lost to an error
// that passes. What is written on the blocking face behind it must not arrive:
// the peer would take it for the beginning.
func TestBlockAfterLoss(t *testing.T) {
	leak.FDs(t)
	defer sock.Inject(nil)
	var failed atomic.Bool
	sock.Inject(&sock.Faults{Fail: func(c sock.Call, _ int) syscall.Errno {
		if c == sock.CallSend && failed.CompareAndSwap(false, true) {
			return syscall.ENOBUFS
		}
		return 0
	}})
	rt, err := conn.Start(conn.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close()
	wrote := make(chan error, 1)
	ln, err := rt.Listen(conn.TCP(netip.MustParseAddrPort("127.0.0.1:0")), func(c *conn.Conn) conn.Handler {
		io.WriteString(c, "first ")
		b := c.Block()
		// On the loop, which cannot end the connection meanwhile. It does not
		// wait: there is room in the socket.
		_, err := b.Write([]byte("second"))
		wrote <- errors.Join(err, b.CloseWrite())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(await.Patience))
	if got, _ := io.ReadAll(nc); len(got) > 0 {
		t.Errorf("%q arrives without what was before it", got)
	}
	if err := <-wrote; !errors.Is(err, conn.ErrClosed) {
		t.Errorf("writing behind it: %v", err)
	}
}
