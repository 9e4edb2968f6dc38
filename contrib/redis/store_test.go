package redis_test

import (
	"context"
	"errors"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-go/weir/contrib/redis"
	"github.com/weir-go/weir/idem"
	"github.com/weir-go/weir/idem/idemtest"
)

// TestStore: the contract, over both kinds of socket and both ways to use them,
// on Weir's connections.
func TestStore(t *testing.T) {
	srv := startServer(t)
	for name, cfg := range map[string]redis.Config{"tcp": {Addrs: []string{srv.Addr}}, "unix": {Addrs: []string{srv.Socket}},
		"several": {Addrs: []string{srv.Addr}, PoolSize: 3}, "pooled": {Addrs: []string{srv.Addr}, Pooled: true}} {
		t.Run(name, func(t *testing.T) {
			rt := runtime(t)
			cfg.Runtime = rt
			s := open(t, cfg.Addrs[0], cfg)
			idemtest.TestStore(t, func(*testing.T) idem.Store { return s })
			check(t, rt.Stats().Dialed > 0, "connections of the runtime", rt.Stats().Dialed)
		})
	}
}

// TestScriptsFlushed: a server that has forgotten the scripts is given them
// again, once each, and only when it says so.
func TestScriptsFlushed(t *testing.T) {
	srv := startServer(t)
	c := client(open(t, srv.Addr, redis.Config{}))
	key := idem.Key{Operation: "a", ID: "b"}
	for round := 1; round <= 3; round++ {
		for range 20 {
			_, err := c.Do(bg, key, nil, redo, result("x"))
			ok(t, err)
			_, err = c.Lookup(bg, key)
			ok(t, err)
		}
		if n := srv.calls(t, "eval"); n > 2*round+1 { // begin and lookup, and once finish
			t.Fatalf("EVAL was called %d times in round %d", n, round)
		}
		srv.do(t, "SCRIPT", "FLUSH")
	}
	check(t, c.Stats().Resent == 0, "stats", c.Stats())
	check(t, srv.calls(t, "evalsha") > 100, "calls by name", srv.calls(t, "evalsha"))
}

func TestOpenRefuses(t *testing.T) {
	if _, err := redis.Open(bg, redis.Config{}); err == nil {
		t.Error("opened without an address")
	}
	srv := startServer(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	rt := runtime(t)
	_, err := redis.Open(bg, redis.Config{Runtime: rt, Addrs: []string{srv.Addr}, Timeout: patience})
	check(t, errors.Is(err, redis.ErrEviction), "a server that evicts", err)
	until(t, "its connections are closed", func() bool { return rt.Stats().Conns == 0 })
	srv.do(t, "CONFIG", "SET", "maxmemory-policy", "noeviction")
	open(t, srv.Addr, redis.Config{})
	srv.do(t, "CONFIG", "SET", "requirepass", "secret")
	_, err = redis.Open(bg, redis.Config{Runtime: rt, Addrs: []string{srv.Addr}, Timeout: patience})
	check(t, err != nil, "without the password", err)
	open(t, srv.Addr, redis.Config{Password: "secret", DB: 3})
}

// TestErrors: those that pass are waited for, the others are not.
func TestErrors(t *testing.T) {
	for name, test := range map[string]struct {
		sent    string
		refused bool
		full    bool
	}{
		"loading":    {"LOADING Redis is loading the dataset in memory", false, false},
		"replica":    {"READONLY You can't write against a read only replica.", false, false},
		"moved":      {"MOVED 3999 127.0.0.1:6381", false, false},
		"ask":        {"ASK 3999 127.0.0.1:6381", false, false},
		"slot moves": {"TRYAGAIN Multiple keys request during rehashing of slot", false, false},
		"down":       {"CLUSTERDOWN The cluster is down", false, false},
		"master":     {"MASTERDOWN Link with MASTER is down", false, false},
		"script":     {"BUSY Redis is busy running a script.", false, false},
		"clients":    {"ERR max number of clients reached", false, false},
		"replicas":   {"NOREPLICAS Not enough good replicas to write.", false, false},
		"disk":       {"MISCONF Redis is configured to save RDB snapshots", false, false},
		"memory":     {"OOM command not allowed when used memory > 'maxmemory'.", true, true},
		"password":   {"NOAUTH Authentication required.", true, false},
		"rights":     {"NOPERM this user has no permissions", true, false},
		"type":       {"WRONGTYPE Operation against a key holding the wrong kind of value", true, false},
		"other":      {"ERR unknown command", true, false},
	} {
		got := redis.Judge(sent(test.sent))
		if errors.Is(got, idem.ErrRefused) != test.refused || errors.Is(got, idem.ErrFull) != test.full ||
			!errors.Is(got, sent(test.sent)) {
			t.Errorf("%s: %v", name, got)
		}
	}
	plain := errors.New("ERR is not the server's word here")
	check(t, redis.Judge(plain) == plain, "an error of the connection", nil)
}

// sent is an error as a server sends it.
type sent string

func (s sent) Error() string { return string(s) }
func (s sent) RedisError()   {}

var _ goredis.Error = sent("")

// TestFullServer: no memory for another record is no record, and no run.
func TestFullServer(t *testing.T) {
	srv := startServer(t)
	c := client(open(t, srv.Addr, redis.Config{}))
	srv.do(t, "CONFIG", "SET", "maxmemory", "1")
	_, err := c.Do(bg, key, nil, redo, never(t))
	check(t, errors.Is(err, idem.ErrFull), "error", err)
	srv.do(t, "CONFIG", "SET", "maxmemory", "0")
	_, err = c.Do(bg, key, nil, redo, result("x"))
	ok(t, err)
}

// TestReadOnly: a server that is a replica for a while is waited for.
func TestReadOnly(t *testing.T) {
	srv := startServer(t)
	c := client(open(t, srv.Addr, redis.Config{}))
	srv.do(t, "REPLICAOF", "127.0.0.1", "1")
	done := make(chan error, 1)
	go func() {
		_, err := c.Do(bg, key, nil, redo, result("x"))
		done <- err
	}()
	until(t, "it was refused a few times", func() bool { return c.Stats().Resent > 2 })
	srv.do(t, "REPLICAOF", "NO", "ONE")
	ok(t, <-done)
}

// TestForeignKey: what is under the name but no record is left alone.
func TestForeignKey(t *testing.T) {
	srv := startServer(t)
	s := open(t, srv.Addr, redis.Config{})
	name, err := key.Name()
	ok(t, err)
	srv.do(t, "SET", name, "somebody's")
	_, err = client(s).Do(bg, key, nil, redo, never(t))
	check(t, errors.Is(err, idem.ErrRefused), "error", err)
	check(t, srv.do(t, "GET", name) == "somebody's", "value", nil)
}

// TestClockSetBack: the server's clock is behind the last fence, as that of a
// replica that took over may be. The next fence is above all the same.
func TestClockSetBack(t *testing.T) {
	srv := startServer(t)
	s := open(t, srv.Addr, redis.Config{})
	ahead := uint64(1<<52 + 12345)
	v, err := s.Finish(bg, "idem::clock:1", idem.Hold{Fence: ahead}, idem.Final{State: idem.Unknown})
	check(t, err == nil && v == idem.Healed, "verdict", v)
	v, err = s.Resolve(bg, "idem::clock:1", 1, idem.Final{State: idem.Released, Retain: time.Hour})
	check(t, err == nil && v == idem.OK, "verdict", v)
	g, err := s.Begin(bg, "idem::clock:1", idem.Claim{Owner: idem.Owner{1}, Lease: time.Hour, Retain: time.Hour})
	check(t, err == nil && g.Answer == idem.New && g.Fence == ahead+1, "grant", g)
}

var (
	key  = idem.Key{Space: "shop", Operation: "charge", ID: "order 4711"}
	redo = idem.Policy{Unknown: idem.Redo()}
)

func result(s string) idem.Func {
	return func(context.Context, *idem.Attempt) ([]byte, error) { return []byte(s), nil }
}

func never(t testing.TB) idem.Func {
	return func(context.Context, *idem.Attempt) ([]byte, error) {
		t.Error("fn was run")
		return nil, nil
	}
}
