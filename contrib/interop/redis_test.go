package interop_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/redistest"
	"github.com/weir-go/weir/netconn"
)

// redisClient is a stock go-redis client whose connections are rt's.
func redisClient(t testing.TB, rt *conn.Runtime, o redis.Options) *redis.Client {
	t.Helper()
	d := &netconn.Dialer{Runtime: rt}
	o.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
		return d.DialContext(ctx, network, address)
	}
	o.ContextTimeoutEnabled = true
	// Its own are of a few seconds, and what they end is tried again.
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = patience, patience, patience, patience
	c := redis.NewClient(&o)
	t.Cleanup(func() { c.Close() })
	return c
}

// TestRedis: commands, both kinds of socket.
func TestRedis(t *testing.T) {
	r := redistest.Start(t)
	for _, o := range []redis.Options{{Addr: r.Addr}, {Network: "unix", Addr: r.Socket}} {
		t.Run(o.Network, func(t *testing.T) {
			rt := start(t)
			c := redisClient(t, rt, o)
			for name, test := range commands {
				t.Run(name, func(t *testing.T) { test(within(t), t, c) })
			}
			if rt.Stats().Dialed == 0 {
				t.Error("go-redis did not dial by Weir")
			}
		})
	}
}

var commands = map[string]func(ctx context.Context, t *testing.T, c *redis.Client){
	"set and get": func(ctx context.Context, t *testing.T, c *redis.Client) {
		ok(t, c.Set(ctx, "k", "v", time.Hour).Err())
		got, err := c.Get(ctx, "k").Result()
		ok(t, err)
		want(t, got, "v")
		want(t, c.Get(ctx, "nothing").Err(), redis.Nil)
	},
	"big value": func(ctx context.Context, t *testing.T, c *redis.Client) {
		big := strings.Repeat("0123456789abcde\n", 1<<19) // 8 MiB
		ok(t, c.Set(ctx, "big", big, time.Hour).Err())
		got, err := c.Get(ctx, "big").Result()
		ok(t, err)
		want(t, got == big, true)
	},
	"pipeline": func(ctx context.Context, t *testing.T, c *redis.Client) {
		ok(t, c.Del(ctx, "n").Err())
		p := c.Pipeline()
		var last *redis.IntCmd
		for range 10_000 {
			last = p.Incr(ctx, "n")
		}
		_, err := p.Exec(ctx)
		ok(t, err)
		want(t, last.Val(), int64(10_000))
	},
	"transaction": func(ctx context.Context, t *testing.T, c *redis.Client) {
		cmds, err := c.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Set(ctx, "a", 1, 0)
			p.IncrBy(ctx, "a", 41)
			return nil
		})
		ok(t, err)
		want(t, cmds[1].(*redis.IntCmd).Val(), int64(42))
	},
	"publish and subscribe": func(ctx context.Context, t *testing.T, c *redis.Client) {
		s := c.Subscribe(ctx, "news")
		defer s.Close()
		_, err := s.Receive(ctx) // the confirmation
		ok(t, err)
		for i := range 100 {
			ok(t, c.Publish(ctx, "news", fmt.Sprint(i)).Err())
		}
		for i := range 100 {
			m, err := s.ReceiveMessage(ctx)
			ok(t, err)
			want(t, m.Payload, fmt.Sprint(i))
		}
	},
	"blocking pop is woken": func(ctx context.Context, t *testing.T, c *redis.Client) {
		popped := make(chan error, 1)
		go func() {
			got, err := c.BLPop(ctx, 0, "queue").Result()
			if err == nil && got[1] != "work" {
				err = fmt.Errorf("popped %q", got)
			}
			popped <- err
		}()
		until(t, "the client is blocked", func() bool {
			info, err := c.Info(ctx, "clients").Result()
			ok(t, err)
			return strings.Contains(info, "blocked_clients:1")
		})
		ok(t, c.RPush(ctx, "queue", "work").Err())
		ok(t, <-popped)
	},
	"blocking pop ends with its context": func(ctx context.Context, t *testing.T, c *redis.Client) {
		short, cancel := context.WithTimeout(ctx, 30*time.Millisecond)
		defer cancel()
		err := c.BLPop(short, 0, "empty").Err()
		var ne net.Error
		if !errors.Is(err, context.DeadlineExceeded) && !(errors.As(err, &ne) && ne.Timeout()) {
			t.Fatalf("got %v, want a time-out", err)
		}
		ok(t, c.Ping(ctx).Err()) // on a connection that is not the one it gave up
	},
}

// TestRedisPool: a hundred goroutines share ten connections.
func TestRedisPool(t *testing.T) {
	r := redistest.Start(t)
	rt := start(t)
	c := redisClient(t, rt, redis.Options{Addr: r.Addr, PoolSize: 10})
	ctx := within(t)
	parallel(t, 100, func(int) error {
		for range 20 {
			if err := c.Incr(ctx, "hits").Err(); err != nil {
				return err
			}
		}
		return nil
	})
	hits, err := c.Get(ctx, "hits").Int()
	ok(t, err)
	want(t, hits, 2000)
	if n := rt.Stats().Conns; n == 0 || n > 10 {
		t.Errorf("%d connections for a pool of 10", n)
	}
}

// TestRedisRestarts: connections of a server that was killed are noticed and
// replaced when it is back, by pooled commands and by a subscription.
func TestRedisRestarts(t *testing.T) {
	r := redistest.Start(t)
	rt := start(t)
	c := redisClient(t, rt, redis.Options{Addr: r.Addr, PoolSize: 5, MaxRetries: -1})
	ctx := within(t)
	parallel(t, 5, func(int) error { return c.Ping(ctx).Err() })
	s := c.Subscribe(ctx, "news")
	defer s.Close()
	messages := s.Channel()
	until(t, "it is subscribed", func() bool {
		n, err := c.PubSubNumSub(ctx, "news").Result()
		return err == nil && n["news"] == 1
	})

	r.Kill()
	if err := c.Ping(ctx).Err(); err == nil {
		t.Fatal("a command to a server that is gone succeeded")
	}
	want(t, r.Restart(t), true)

	// Connections that have died are found to be dead before they are used:
	// without retries, once one command has gone through, all do.
	until(t, "a command succeeds", func() bool { return c.Ping(ctx).Err() == nil })
	parallel(t, 5, func(int) error { return c.Set(ctx, "k", "v", 0).Err() })
	until(t, "the subscription is there again", func() bool {
		n, err := c.Publish(ctx, "news", "back").Result()
		return err == nil && n == 1
	})
	select {
	case m := <-messages:
		want(t, m.Payload, "back")
	case <-ctx.Done():
		t.Fatal("no message after the restart")
	}
}
