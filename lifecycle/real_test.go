package lifecycle_test

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/leak"
	"github.com/weir-go/weir/lifecycle"
	"github.com/weir-go/weir/sched"
	"github.com/weir-go/weir/sched/boltstate"
)

// deaf is who connections are for here: nobody.
type deaf struct{}

func (deaf) Data(*conn.Conn) error    { return nil }
func (deaf) Closed(*conn.Conn, error) {}

// TestProgram has a scheduler whose job writes to a store while a runtime listens.
// The store is there as long as the job runs, which is when the program is told to
// end; and all descriptors are back.
func TestProgram(t *testing.T) {
	leak.FDs(t)
	var (
		rt    *conn.Runtime
		store *boltstate.State
		tasks *sched.Scheduler
	)
	running, end := make(chan struct{}), make(chan error, 1)
	path := filepath.Join(t.TempDir(), "state")
	kit := lifecycle.Kit{Failed: end, Parts: []lifecycle.Part{
		{Name: "scheduler", Stage: lifecycle.Tasks,
			Open: func(ctx context.Context) (err error) {
				if tasks, err = sched.New(sched.Config{State: store}); err != nil {
					return err
				}
				_, err = tasks.Add(context.Background(), sched.Job{Name: "job", Durable: true,
					Trigger: sched.At(time.Now().Add(10 * time.Millisecond)),
					Do: func(ctx context.Context, f sched.Fire) error {
						close(running)
						<-ctx.Done() // until the drain has lost its patience
						_, err := store.Begin(context.Background(), "another", f.Instant)
						return err
					}})
				return err
			},
			Patience: 50 * time.Millisecond, Stop: func(ctx context.Context) error { return tasks.Close(ctx) }},
		{Name: "state", Stage: lifecycle.Clients,
			Open: func(context.Context) (err error) {
				store, err = boltstate.Open(boltstate.Config{Path: path})
				return err
			},
			Ping: func(ctx context.Context) error { _, err := store.Load(ctx, "job"); return err },
			Stop: func(context.Context) error {
				if m, err := store.Load(context.Background(), "another"); err != nil || m.Instant == 0 {
					t.Errorf("the store ends before the job: %+v, %v", m, err)
				}
				return store.Close()
			}},
		{Name: "runtime", Stage: lifecycle.Sockets,
			Open: func(context.Context) (err error) {
				if rt, err = conn.Start(conn.Config{}); err != nil {
					return err
				}
				_, err = rt.Listen(conn.TCP(netip.MustParseAddrPort("127.0.0.1:0")), func(*conn.Conn) conn.Handler { return deaf{} })
				return err
			},
			Stop: func(ctx context.Context) error { return errors.Join(rt.Shutdown(ctx), rt.Close()) }},
	}}
	go func() {
		<-running
		end <- nil
	}()
	if err := kit.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
}
