package restart_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/health"
	"github.com/weir-go/weir/lifecycle"
	"github.com/weir-go/weir/restart"
)

// A program that is replaced on SIGHUP and SIGUSR2. What it opens it asks for by a
// name, because it may be there already.
func ExampleSockets() {
	sockets, err := restart.Begin(restart.Config{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	var (
		rt *conn.Runtime
		ln *conn.Listener
		at = conn.Unix("/run/echo.sock")
	)
	kit := lifecycle.Kit{
		Health:    health.New(health.Config{}),
		Handover:  sockets,
		Restarted: func(err error) { fmt.Println("a successor:", err) },
		Parts: []lifecycle.Part{
			{Name: "runtime", Stage: lifecycle.Sockets,
				Open: func(context.Context) (err error) {
					rt, err = conn.Start(conn.Config{})
					return err
				},
				Stop: func(context.Context) error { return rt.Close() }},
			{Name: "echo", Stage: lifecycle.Servers,
				Open: func(context.Context) (err error) {
					ln, err = sockets.Listen(rt, "echo", conn.ListenConfig{}, at, func(*conn.Conn) conn.Handler { return answer{} })
					return err
				},
				Stop: func(ctx context.Context) error {
					ln.Drain() // nothing, when a successor has the socket
					return rt.Shutdown(ctx)
				}},
		},
	}
	if err := kit.Run(context.Background()); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, err)
	}
}
