package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-go/weir/idem"
)

// run has the server run a script: by its name, and by its text only when the
// server says that it does not know the name. An answer that got lost says
// nothing about what the server knows.
func (s *Store) run(ctx context.Context, sc script, replicas int, name string, args ...any) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err // go-redis would send it
	}
	v, err := s.send(ctx, replicas, name, func(p goredis.Cmdable) *goredis.Cmd {
		return p.EvalSha(ctx, sc.sha, []string{name}, args...)
	})
	if says(err, "NOSCRIPT") {
		v, err = s.send(ctx, replicas, name, func(p goredis.Cmdable) *goredis.Cmd {
			return p.Eval(ctx, sc.text, []string{name}, args...)
		})
	}
	return v, judge(err)
}

// send sends one command, and WAIT behind it on the same connection.
func (s *Store) send(ctx context.Context, replicas int, name string, command func(goredis.Cmdable) *goredis.Cmd) (any, error) {
	if replicas == 0 {
		return command(s.client).Result()
	}
	node, err := s.node(ctx, name)
	if err != nil {
		return nil, err
	}
	p := node.Pipeline()
	c := command(p)
	wait := p.Do(ctx, "WAIT", replicas, s.wait.Milliseconds())
	_, err = p.Exec(ctx)
	if c.Err() != nil {
		if cluster, ok := s.client.(*goredis.ClusterClient); ok && moved(c.Err()) {
			cluster.ReloadState(ctx)
		}
		return nil, c.Err()
	}
	if err != nil {
		return nil, err
	}
	if n, err := wait.Int(); err != nil || n < replicas {
		return nil, fmt.Errorf("%w: %d of %d", ErrReplicas, n, replicas)
	}
	return c.Result()
}

// node is the one that name belongs to: a pipeline of a cluster would send WAIT
// anywhere.
func (s *Store) node(ctx context.Context, name string) (*goredis.Client, error) {
	switch c := s.client.(type) {
	case *goredis.ClusterClient:
		return c.MasterForKey(ctx, name)
	case *goredis.Client:
		return c, nil
	}
	return nil, errors.New("redis: no node")
}

func moved(err error) bool {
	return says(err, "MOVED") || says(err, "ASK")
}

// says reports whether err is one that a server has sent, and begins with that.
func says(err error, prefix string) bool {
	var sent goredis.Error
	return errors.As(err, &sent) && strings.HasPrefix(sent.Error(), prefix)
}

// refusals are the errors of a server that sending again does not help. The
// others come and go: LOADING, READONLY and CLUSTERDOWN while a server starts or
// takes over, MOVED, ASK and TRYAGAIN while slots move, BUSY while a script runs.
var refusals = []string{"ERR", "NOAUTH", "WRONGPASS", "NOPERM", "WRONGTYPE", "NOPROTO"}

// judge tells the errors apart that idem tells apart.
func judge(err error) error {
	switch {
	case err == nil:
		return nil
	case says(err, "OOM"):
		return fmt.Errorf("%w: %w", idem.ErrFull, err)
	case says(err, "ERR max number of clients"):
		return err
	case errors.Is(err, goredis.ErrClosed):
		return fmt.Errorf("%w: %w", idem.ErrRefused, err)
	}
	for _, r := range refusals {
		if says(err, r) {
			return fmt.Errorf("%w: %w", idem.ErrRefused, err)
		}
	}
	return err
}

// examine asks each server whether it keeps what it is given.
func (s *Store) examine(ctx context.Context) error {
	if cluster, ok := s.client.(*goredis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, func(ctx context.Context, c *goredis.Client) error { return examine(ctx, c) })
	}
	return examine(ctx, s.client)
}

func examine(ctx context.Context, c goredis.Cmdable) error {
	info, err := c.Info(ctx).Result()
	if err != nil {
		return err
	}
	version := line(info, "redis_version")
	if major, err := strconv.Atoi(strings.Split(version, ".")[0]); err != nil || major < 5 {
		return fmt.Errorf("%w: %q, Redis 5 is needed", ErrVersion, version)
	}
	if policy := line(info, "maxmemory_policy"); policy != "noeviction" {
		return fmt.Errorf("%w: %q", ErrEviction, policy)
	}
	return nil
}

// line returns the value of "name:value" in an INFO.
func line(info, name string) string {
	for l := range strings.Lines(info) {
		if n, value, _ := strings.Cut(strings.TrimSpace(l), ":"); n == name {
			return value
		}
	}
	return ""
}
