package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/contrib/redis"
	"github.com/weir-go/weir/idem"
	"github.com/weir-go/weir/netconn"
)

var bg = context.Background()

// patience bounds each operation: a machine that was stopped for a moment is no error.
const patience = 30 * time.Second

// prefix tells the keys of one process from those of another.
func prefix() string { return strconv.FormatUint(rand.Uint64(), 36) + "-" }

// unsafeOnce is what many write: SET NX PX, and GET. It promises nothing after a crash, has no owner and no request
// that it compares. go-redis, on package net ("std") or on netconn.
func unsafeOnce(j job) (*subject, error) {
	o := &goredis.Options{Addr: j.Addr, MaxRetries: -1, DialTimeout: patience, ReadTimeout: patience, WriteTimeout: patience, PoolTimeout: patience}
	if strings.HasPrefix(j.Addr, "/") {
		o.Network = "unix"
	}
	stop := func() error { return nil }
	if j.Subject == "netconn" {
		rt, err := conn.Start(conn.Config{})
		if err != nil {
			return nil, err
		}
		stop = rt.Close
		d := &netconn.Dialer{Runtime: rt}
		o.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
			return d.DialContext(ctx, network, address)
		}
	}
	c, mine := goredis.NewClient(o), prefix()
	if err := c.FlushAll(bg).Err(); err != nil {
		return nil, err
	}
	once := func(n uint64) error {
		key := mine + strconv.FormatUint(n, 10)
		if err := c.SetArgs(bg, key, "result", goredis.SetArgs{Mode: "NX", TTL: time.Hour}).Err(); err != nil {
			return err
		}
		got, err := c.Get(bg, key).Result()
		if err == nil && got != "result" {
			err = fmt.Errorf("got %q", got)
		}
		return err
	}
	return &subject{once: once, close: func() error {
		c.Close()
		return stop()
	}}, nil
}

// safeOnce is idem.Client over Redis: BEGIN, the function, FINISH. Calls share a connection ("idem") or have one each,
// of go-redis ("pooled").
func safeOnce(j job) (*subject, error) {
	rt, store, err := openStore(j)
	if err != nil {
		return nil, err
	}
	c, mine := &idem.Client{Store: store}, prefix()
	policy := idem.Policy{Unknown: idem.Redo()}
	once := func(n uint64) error {
		key := idem.Key{Operation: "bench", ID: mine + strconv.FormatUint(n, 10)}
		r, err := c.Do(bg, key, nil, policy, func(context.Context, *idem.Attempt) ([]byte, error) { return []byte("result"), nil })
		if err == nil && (string(r.Result) != "result" || r.Replayed) {
			err = fmt.Errorf("got %+v", r)
		}
		return err
	}
	return &subject{once: once, close: func() error {
		store.Close()
		return rt.Close()
	}}, nil
}

func openStore(j job) (*conn.Runtime, *redis.Store, error) {
	o := &goredis.Options{Addr: j.Addr}
	if strings.HasPrefix(j.Addr, "/") {
		o.Network = "unix"
	}
	c := goredis.NewClient(o)
	defer c.Close()
	if err := c.FlushAll(bg).Err(); err != nil {
		return nil, nil, err
	}
	rt, err := conn.Start(conn.Config{})
	if err != nil {
		return nil, nil, err
	}
	s, err := redis.Open(bg, redis.Config{Runtime: rt, Addrs: []string{j.Addr}, Pooled: j.Subject == "pooled", Timeout: patience})
	return rt, s, err
}
