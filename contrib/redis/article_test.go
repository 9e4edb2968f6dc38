package redis_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

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

// TestArticle is the control of TestStorm: without any fault, the same callers
// asking for the same keys by that script do everything several times, and the
// count of effects shows it.
func TestArticle(t *testing.T) {
	srv := startServer(t)
	client := goredis.NewClient(&goredis.Options{Addr: srv.Addr})
	defer client.Close()
	c := &idem.Client{Store: article{client: client}}
	effects := make([]atomic.Int32, 50)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, i := range rand.Perm(len(effects)) {
				_, err := c.Do(bg, idem.Key{Operation: "article", ID: fmt.Sprint(i)}, nil, redo,
					func(context.Context, *idem.Attempt) ([]byte, error) {
						effects[i].Add(1)
						return nil, nil
					})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	total := int32(0)
	for i := range effects {
		total += effects[i].Load()
	}
	t.Logf("%d effects for %d keys", total, len(effects))
	check(t, total == 8*int32(len(effects)), "effects", total)
}
