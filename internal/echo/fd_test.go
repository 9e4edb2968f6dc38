package echo

import (
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// dup hands f's descriptor out: whoever gets it owns it.
func dup(t *testing.T, f *os.File) int {
	t.Helper()
	fd, err := unix.Dup(int(f.Fd()))
	require.NoError(t, err)
	require.NoError(t, f.Close())
	return fd
}

// notListening is a descriptor that nothing can be accepted from.
func notListening(t *testing.T) int {
	t.Helper()
	f, err := os.Open(os.DevNull)
	require.NoError(t, err)
	return dup(t, f)
}

// waitArrived waits until the server's kernel has all that was written to c:
// what is still on its way when the server closes is lost, and nobody's fault.
func waitArrived(t *testing.T, c *net.TCPConn) {
	t.Helper()
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		unacknowledged := -1
		raw.Control(func(fd uintptr) { unacknowledged, _ = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) })
		return unacknowledged == 0
	}, time.Minute, time.Millisecond)
}
