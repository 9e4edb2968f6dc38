package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-go/weir/idem"
)

// pooled asks by go-redis: each call has a connection to itself while it is
// under way.
type pooled struct {
	client   goredis.UniversalClient
	replicas int
	wait     time.Duration
}

func (p *pooled) eval(ctx context.Context, sc *script, name string, args []arg) (*reply, error) {
	list := make([]any, len(args))
	for i, a := range args {
		list[i] = a.any()
	}
	replicas := 0
	if sc.waits {
		replicas = p.replicas
	}
	v, err := p.send(ctx, replicas, name, func(c goredis.Cmdable) *goredis.Cmd {
		return c.EvalSha(ctx, sc.sha, []string{name}, list...)
	})
	if says(err, "NOSCRIPT") {
		v, err = p.send(ctx, replicas, name, func(c goredis.Cmdable) *goredis.Cmd {
			return c.Eval(ctx, sc.text, []string{name}, list...)
		})
	}
	if err != nil {
		return nil, err
	}
	return replyOf(v)
}

// replyOf is what go-redis has read.
func replyOf(v any) (*reply, error) {
	r := &reply{}
	list, isList := v.([]any)
	if !isList {
		list = []any{v}
	}
	if len(list) > maxFields {
		return nil, errReply
	}
	r.array = isList
	for _, v := range list {
		switch v := v.(type) {
		case string:
			r.add(element{kind: '$', text: []byte(v)})
		case int64:
			r.add(element{kind: ':', text: strconv.AppendInt(nil, v, 10)})
		default:
			return nil, fmt.Errorf("%w: %.100v", errReply, v)
		}
	}
	return r, nil
}

// send sends one command, and WAIT behind it on the same connection.
func (p *pooled) send(ctx context.Context, replicas int, name string, command func(goredis.Cmdable) *goredis.Cmd) (any, error) {
	if replicas == 0 {
		return command(p.client).Result()
	}
	node, err := p.node(ctx, name)
	if err != nil {
		return nil, err
	}
	both := node.Pipeline()
	c := command(both)
	wait := both.Do(ctx, "WAIT", replicas, p.wait.Milliseconds())
	_, err = both.Exec(ctx)
	if c.Err() != nil {
		if cluster, ok := p.client.(*goredis.ClusterClient); ok && moved(c.Err()) {
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
func (p *pooled) node(ctx context.Context, name string) (*goredis.Client, error) {
	switch c := p.client.(type) {
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

// says reports whether err is one that a server has sent, and begins with that. What
// a command in a script was refused for Redis tells as such from version 7 on; before,
// it is in an error about the script: "ERR Error running script (call to f_...):
// @user_script:4: @user_script: 4: -READONLY You can't ...".
func says(err error, prefix string) bool {
	if err == nil {
		return false
	}
	var sent goredis.Error
	if !errors.As(err, &sent) {
		return false
	}
	text := sent.Error()
	if strings.HasPrefix(text, "ERR Error running script") {
		if _, inside, found := strings.Cut(text, ": -"); found {
			text = inside
		}
	}
	return strings.HasPrefix(text, prefix)
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
func (p *pooled) examine(ctx context.Context) error {
	one := func(ctx context.Context, c *goredis.Client) error {
		info, err := c.Info(ctx).Result()
		if err != nil {
			return err
		}
		return reliable(info)
	}
	switch c := p.client.(type) {
	case *goredis.ClusterClient:
		return c.ForEachMaster(ctx, one)
	case *goredis.Client:
		return one(ctx, c)
	}
	return nil
}

// reliable looks at a server's INFO.
func reliable(info string) error {
	version := infoLine(info, "redis_version")
	if major, err := strconv.Atoi(strings.Split(version, ".")[0]); err != nil || major < 5 {
		return fmt.Errorf("%w: %q, Redis 5 is needed", ErrVersion, version)
	}
	if policy := infoLine(info, "maxmemory_policy"); policy != "noeviction" {
		return fmt.Errorf("%w: %q", ErrEviction, policy)
	}
	return nil
}

// infoLine returns the value of "name:value" in an INFO.
func infoLine(info, name string) string {
	for l := range strings.Lines(info) {
		if n, value, _ := strings.Cut(strings.TrimSpace(l), ":"); n == name {
			return value
		}
	}
	return ""
}
