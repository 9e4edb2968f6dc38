package redistest_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/weir-go/weir/internal/await"
	"github.com/weir-go/weir/internal/leak"
	"github.com/weir-go/weir/internal/redistest"
)

func TestMain(m *testing.M) { leak.Main(m) }

// ask sends a command on a connection of its own, and returns the first line of
// the answer.
func ask(t *testing.T, network, addr, command string) string {
	t.Helper()
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(await.Patience))
	fmt.Fprintf(c, "%s\r\n", command)
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// A server answers on both sockets, and has its files when it comes back.
func TestServer(t *testing.T) {
	s := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	if got := ask(t, "unix", s.Socket, "SET a 1"); got != "+OK" {
		t.Fatal(got)
	}
	s.Kill()
	if c, err := net.Dial("tcp", s.Addr); err == nil {
		c.Close()
		t.Error("a killed server accepts")
	}
	if !s.Restart(t) {
		t.Fatal(s.Said())
	}
	if got := ask(t, "tcp", s.Addr, "EXISTS a"); got != ":1" {
		t.Error(got)
	}
	if !strings.Contains(s.Said(), "Ready to accept connections") {
		t.Error(s.Said())
	}
}

// A frozen server answers when it goes on.
func TestStop(t *testing.T) {
	s := redistest.Start(t)
	s.Stop()
	c, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "PING\r\n")
	c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(make([]byte, 8)); err == nil {
		t.Errorf("%d bytes of a frozen server", n)
	}
	s.Resume()
	c.SetReadDeadline(time.Now().Add(await.Patience))
	if _, err := c.Read(make([]byte, 8)); err != nil {
		t.Error(err)
	}
}
