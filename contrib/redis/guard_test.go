package redis_test

import (
	"testing"

	"github.com/weir-go/weir/contrib/redis"
	"github.com/weir-go/weir/internal/guardtest"
	"github.com/weir-go/weir/sched/schedtest"
)

// TestGuard: replicas of a scheduler agree over a real server who executes a
// run, and one that is heard of no more is taken over.
func TestGuard(t *testing.T) {
	srv := startServer(t)
	schedtest.TestGuard(t, schedtest.Guards{Free: patience, Open: func(t *testing.T) func() schedtest.Replica {
		srv.do(t, "FLUSHALL")
		return func() schedtest.Replica { return guardtest.Replica(open(t, srv.Addr, redis.Config{})) }
	}})
}
