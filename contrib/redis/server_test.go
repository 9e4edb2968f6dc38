package redis_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/contrib/redis"
	"github.com/weir-go/weir/idem"
	"github.com/weir-go/weir/internal/await"
	"github.com/weir-go/weir/internal/redistest"
)

// patience bounds waits that end soon unless something is broken.
const patience = await.Patience

var bg = context.Background()

// server is a redis-server of our own. What it has acknowledged is on the disk.
type server struct{ *redistest.Server }

func startServer(t testing.TB, args ...string) *server {
	t.Helper()
	sure := []string{"--appendonly", "yes", "--appendfsync", "always", "--repl-diskless-sync-delay", "0"}
	return &server{redistest.Start(t, append(sure, args...)...)}
}

// do is a command by a client of its own.
func (s *server) do(t testing.TB, args ...any) any {
	t.Helper()
	c := goredis.NewClient(&goredis.Options{Addr: s.Addr, DisableIdentity: true})
	defer c.Close()
	v, err := c.Do(bg, args...).Result()
	ok(t, err)
	return v
}

// calls is a count from INFO: of "cmdstat_eval:calls=3,usec=...".
func (s *server) calls(t testing.TB, command string) (n int) {
	t.Helper()
	for l := range strings.Lines(s.do(t, "INFO", "commandstats").(string)) {
		if rest, found := strings.CutPrefix(l, "cmdstat_"+command+":calls="); found {
			fmt.Sscan(strings.Split(rest, ",")[0], &n)
		}
	}
	return n
}

func runtime(t testing.TB) *conn.Runtime {
	t.Helper()
	rt, err := conn.Start(conn.Config{})
	ok(t, err)
	t.Cleanup(func() { rt.Close() })
	return rt
}

// open opens a Store on addr with a runtime of its own.
func open(t testing.TB, addr string, cfg redis.Config) *redis.Store {
	t.Helper()
	if cfg.Runtime == nil {
		cfg.Runtime = runtime(t)
	}
	cfg.Addrs = []string{addr}
	cfg.Timeout = patience // idem.Client.Try is shorter where that matters
	ctx, cancel := context.WithTimeout(bg, patience)
	defer cancel()
	s, err := redis.Open(ctx, cfg)
	ok(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// client asks nothing again for no other reason than that the machine is slow.
func client(s idem.Store) *idem.Client {
	return &idem.Client{Store: s, Try: patience, Patience: patience}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func check(t testing.TB, ok bool, what string, got any) {
	t.Helper()
	if !ok {
		t.Errorf("%s: %+v", what, got)
	}
}

// until waits for something that nothing signals.
var until = await.Until
