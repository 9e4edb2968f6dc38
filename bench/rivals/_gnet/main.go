// Command gnet is an echo server on github.com/panjf2000/gnet/v2 with its defaults: one event loop, handlers on it.
// It is built only where its source is given: go run ./bench -source gnet=FOLDER.
package main

import (
	"fmt"
	"os"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"

	"github.com/weir-go/weir/bench/internal/line"
)

func main() {
	s := &server{addr: make(chan string, 1)}
	go func() {
		err := gnet.Run(s, "tcp://127.0.0.1:0", gnet.WithMulticore(false))
		fmt.Fprintln(os.Stderr, "gnet ended:", err)
		os.Exit(1)
	}()
	if err := line.Serve(os.Stdin, os.Stdout, <-s.addr); err != nil {
		fmt.Fprintln(os.Stderr, "gnet:", err)
		os.Exit(1)
	}
}

type server struct {
	gnet.BuiltinEventEngine
	addr chan string
}

// OnBoot finds out which port the system chose: gnet itself does not say.
func (s *server) OnBoot(engine gnet.Engine) gnet.Action {
	fd, err := engine.Dup()
	if err != nil {
		fmt.Fprintln(os.Stderr, "gnet:", err)
		return gnet.Shutdown
	}
	defer unix.Close(fd)
	at, err := unix.Getsockname(fd)
	port, ok := at.(*unix.SockaddrInet4)
	if err != nil || !ok {
		fmt.Fprintln(os.Stderr, "gnet: no port:", err)
		return gnet.Shutdown
	}
	s.addr <- fmt.Sprintf("127.0.0.1:%d", port.Port)
	return gnet.None
}

// OnTraffic sends back what the loop's own buffer holds.
func (s *server) OnTraffic(c gnet.Conn) gnet.Action {
	b, err := c.Next(-1)
	if err == nil {
		_, err = c.Write(b)
	}
	if err != nil {
		return gnet.Close
	}
	return gnet.None
}
