package redis_test

import (
	"context"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-go/weir/idem"
)

// article is the well-known script with a version stamp, as a Store: the key
// holds the version that the caller expected, and a caller who expects that
// version goes on. The version never advances, so everybody goes on.
type article struct {
	idem.Store
	client *goredis.Client
}

const articleScript = `
local v = redis.call('GET', KEYS[1])
if not v then
	redis.call('SET', KEYS[1], ARGV[1] .. '|processing')
	return 1
end
if string.match(v, '^(%d+)|') == ARGV[1] then
	redis.call('SET', KEYS[1], ARGV[1] .. '|processing')
	return 2
end
return 0
`

func (a article) Begin(ctx context.Context, name string, _ idem.Claim) (idem.Grant, error) {
	n, err := a.client.Eval(ctx, articleScript, []string{name}, 0).Int()
	if n == 0 {
		return idem.Grant{Answer: idem.Busy}, err
	}
	return idem.Grant{Answer: idem.New, Fence: 1, Version: 1}, err
}

func (a article) Renew(context.Context, string, idem.Hold, idem.Renewal) (idem.Verdict, error) {
	return idem.OK, nil
}

func (a article) Finish(ctx context.Context, name string, _ idem.Hold, _ idem.Final) (idem.Verdict, error) {
	return idem.OK, a.client.Set(ctx, name, "0|done", 0).Err()
}

// Lookup has nothing to say: the script keeps no result.
func (a article) Lookup(context.Context, string) (idem.Record, error) { return idem.Record{}, nil }

func openArticle(t *testing.T, addr string) article {
	c := goredis.NewClient(&goredis.Options{Addr: addr, ReadTimeout: 150 * time.Millisecond, MaxRetries: -1})
	t.Cleanup(func() { c.Close() })
	return article{client: c}
}

// TestArticle is the control of TestStorm: the same callers, the same ledger, and
// nothing goes wrong, but they ask by that script. Each of them does everything.
func TestArticle(t *testing.T) {
	srv := startServer(t)
	s := newStorm(t, 50, func(int) idem.Store { return openArticle(t, srv.Addr) })
	s.blow(t)
	total := len(s.lines(t))
	t.Logf("%d effects for %d keys", total, s.keys)
	check(t, total == 32*s.keys, "effects", total)
}
