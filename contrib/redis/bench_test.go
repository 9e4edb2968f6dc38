package redis_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-go/weir/contrib/redis"
	"github.com/weir-go/weir/idem"
	"github.com/weir-go/weir/netconn"
)

// BenchmarkOnce: a key done once, by this Store and by SET NX PX and GET, which
// promise nothing after a crash. cpu-ns/op is the client's, user and system.
func BenchmarkOnce(b *testing.B) {
	srv := startServer(b, "--appendfsync", "no")
	for _, callers := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("idem/%d", callers), func(b *testing.B) {
			c := &idem.Client{Store: open(b, srv.Socket, redis.Config{})}
			measure(b, callers, func(key string) error {
				_, err := c.Do(bg, idem.Key{Operation: "bench", ID: key}, nil, redo, result("x"))
				return err
			})
		})
		b.Run(fmt.Sprintf("setnx,net/%d", callers), func(b *testing.B) {
			unsafeOnce(b, callers, goredis.NewClient(&goredis.Options{Network: "unix", Addr: srv.Socket, MaxRetries: -1}))
		})
		b.Run(fmt.Sprintf("setnx,netconn/%d", callers), func(b *testing.B) {
			d := &netconn.Dialer{Runtime: runtime(b)}
			unsafeOnce(b, callers, goredis.NewClient(&goredis.Options{Network: "unix", Addr: srv.Socket, MaxRetries: -1,
				Dialer: func(ctx context.Context, network, address string) (net.Conn, error) {
					return d.DialContext(ctx, network, address)
				}}))
		})
	}
}

func unsafeOnce(b *testing.B, callers int, c *goredis.Client) {
	defer c.Close()
	measure(b, callers, func(key string) error {
		if err := c.SetArgs(bg, key, "x", goredis.SetArgs{Mode: "NX", TTL: time.Hour}).Err(); err != nil {
			return err
		}
		return c.Get(bg, key).Err()
	})
}

func measure(b *testing.B, callers int, once func(key string) error) {
	run := fmt.Sprint(rand.Uint64())
	var n atomic.Int64
	if err := once(run + "warm"); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	before := cpu(b)
	b.SetParallelism((callers + 1) / 2) // goroutines for each of two processors
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := once(run + fmt.Sprint(n.Add(1))); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
}

// cpu is what this process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
