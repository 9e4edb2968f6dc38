package redis_test

import (
	"testing"
	"time"

	"context"
	"github.com/weir-go/weir/contrib/redis"
	"github.com/weir-go/weir/idem"
	"github.com/weir-go/weir/idem/idemguard"
	"github.com/weir-go/weir/sched"
	"github.com/weir-go/weir/sched/schedtest"
)

// replica is a Guard over a Store of its own, whose holds are known.
type replica struct {
	sched.Guard
	held []sched.Held
}

func (r *replica) Hold(ctx context.Context, k sched.Key, lost func(error)) (sched.Held, error) {
	h, err := r.Guard.Hold(ctx, k, lost)
	if err == nil {
		r.held = append(r.held, h)
	}
	return h, err
}

// TestGuard: replicas of a scheduler agree over a real server who executes a
// run, and one whose connections are gone is taken over.
func TestGuard(t *testing.T) {
	srv := startServer(t)
	schedtest.TestGuard(t, schedtest.Guards{Free: patience, Open: func(t *testing.T) func() schedtest.Replica {
		srv.do(t, "FLUSHALL")
		return func() schedtest.Replica {
			store := open(t, srv.Addr, redis.Config{})
			r := &replica{Guard: &idemguard.Guard{Client: &idem.Client{Store: store}, Lease: 200 * time.Millisecond}}
			return schedtest.Replica{Guard: r, Crash: func() {
				store.Close()
				for _, h := range r.held { // for the sake of its goroutine: the server does not hear it
					h.End(bg, false)
				}
			}}
		}
	}})
}
