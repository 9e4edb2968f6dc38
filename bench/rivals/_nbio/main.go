// Command nbio is an echo server on github.com/lesismal/nbio with its defaults and one poller.
// It is built only where its source is given: go run ./bench -source nbio=FOLDER.
package main

import (
	"fmt"
	"net"
	"os"
	"runtime"

	"github.com/lesismal/nbio"
	"github.com/lesismal/nbio/logging"

	"github.com/weir-go/weir/bench/internal/line"
)

func main() {
	logging.SetLevel(logging.LevelNone) // it logs to standard output, where the protocol is
	var addr string
	engine := nbio.NewEngine(nbio.Config{
		Network: "tcp",
		Addrs:   []string{"127.0.0.1:0"},
		NPoller: runtime.GOMAXPROCS(0),
		Listen: func(network, at string) (net.Listener, error) {
			l, err := net.Listen(network, at)
			if err == nil {
				addr = l.Addr().String()
			}
			return l, err
		},
	})
	engine.OnData(func(c *nbio.Conn, b []byte) {
		if _, err := c.Write(b); err != nil {
			c.Close()
		}
	})
	err := engine.Start()
	if err == nil {
		err = line.Serve(os.Stdin, os.Stdout, addr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "nbio:", err)
		os.Exit(1)
	}
}
