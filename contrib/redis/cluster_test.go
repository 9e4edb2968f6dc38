package redis_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/weir-go/weir/contrib/redis"
	"github.com/weir-go/weir/idem"
	"github.com/weir-go/weir/idem/idemtest"
)

// replicaOf starts a server that follows another, and waits until it is level.
func replicaOf(t *testing.T, primary string) *server {
	t.Helper()
	host, port, _ := net.SplitHostPort(primary)
	r := startServer(t, "--replicaof", host+" "+port)
	until(t, "the replica is level", func() bool {
		return strings.Contains(r.do(t, "INFO", "replication").(string), "master_link_status:up")
	})
	return r
}

// TestReplicas: a grant counts when a replica has it, and not before.
func TestReplicas(t *testing.T) {
	primary := startServer(t)
	replica := replicaOf(t, primary.Addr)
	sure := open(t, primary.Addr, redis.Config{Replicas: 1, ReplicaTimeout: 20 * time.Second})
	idemtest.TestStore(t, func(*testing.T) idem.Store { return sure })

	s := open(t, primary.Addr, redis.Config{Replicas: 1, ReplicaTimeout: 50 * time.Millisecond})
	replica.Stop()
	tooFew(t, s, key)
	replica.Resume()
	_, err := client(s).Do(bg, key, nil, idem.Policy{Unknown: idem.Redo(), Wait: true}, result("x"))
	check(t, err == nil, "with it again", err)
	two := open(t, primary.Addr, redis.Config{Replicas: 2, ReplicaTimeout: 20 * time.Millisecond})
	other := key
	other.ID = "another"
	tooFew(t, two, other)
}

// tooFew asks a few times for a key of which too few replicas hear.
func tooFew(t *testing.T, s *redis.Store, key idem.Key) {
	t.Helper()
	c := client(s)
	ctx, leave := context.WithCancel(bg)
	defer leave()
	done := make(chan error, 1)
	go func() {
		_, err := c.Do(ctx, key, nil, redo, never(t))
		done <- err
	}()
	until(t, "it was asked again", func() bool { return c.Stats().Resent > 2 })
	leave()
	err := <-done
	check(t, errors.Is(err, idem.ErrUnavailable) && errors.Is(err, redis.ErrReplicas), "too few replicas", err)
}

// TestPromotion: what was acknowledged with a replica is there when that takes
// over from a primary that died. Without asking for a replica it is not, which
// is the control: everything that the replica had not heard of is done again.
func TestPromotion(t *testing.T) {
	for replicas, again := range []uint64{100, 0} {
		t.Run(fmt.Sprintf("%d replicas", replicas), func(t *testing.T) {
			primary := startServer(t)
			p := startProxy(t, primary.Addr)
			replica := replicaOf(t, p.addr)
			if replicas == 0 {
				p.set(func(bool, []byte) verdict { return verdict{} })
			}
			before := client(open(t, primary.Addr, redis.Config{Replicas: replicas, ReplicaTimeout: patience / 2}))
			after := promoted(t, before, primary, replica)
			s := after.Stats()
			t.Logf("%d of 100 done a second time", s.Ran)
			check(t, s.Ran == again && s.Replayed == 100-again, "stats", s)
		})
	}
}

// promoted does a hundred keys, kills the primary, has the replica take over,
// and does them again.
func promoted(t *testing.T, c *idem.Client, primary, replica *server) *idem.Client {
	t.Helper()
	all := func(c *idem.Client) {
		t.Helper()
		for i := range 100 {
			r, err := c.Do(bg, idem.Key{Operation: "p", ID: fmt.Sprint(i)}, nil, redo, result(fmt.Sprint(i)))
			check(t, err == nil && string(r.Result) == fmt.Sprint(i), "result", err)
		}
	}
	all(c)
	primary.Kill()
	replica.do(t, "REPLICAOF", "NO", "ONE")
	c = client(open(t, replica.Addr, redis.Config{}))
	all(c)
	return c
}

// startCluster starts two nodes that share the slots.
func startCluster(t *testing.T) (nodes [2]*server) {
	t.Helper()
	for i := range nodes {
		nodes[i] = startServer(t, "--cluster-enabled", "yes", "--cluster-config-file", "nodes", "--cluster-node-timeout", "30000")
	}
	nodes[0].do(t, "CLUSTER", "ADDSLOTSRANGE", 0, 8191)
	nodes[1].do(t, "CLUSTER", "ADDSLOTSRANGE", 8192, 16383)
	nodes[1].do(t, "CLUSTER", "SET-CONFIG-EPOCH", 2)
	host, port, _ := net.SplitHostPort(nodes[1].Addr)
	nodes[0].do(t, "CLUSTER", "MEET", host, port)
	for _, n := range nodes {
		until(t, "the cluster is complete", func() bool {
			return strings.Contains(n.do(t, "CLUSTER", "INFO").(string), "cluster_state:ok") &&
				strings.Contains(n.do(t, "CLUSTER", "INFO").(string), "cluster_known_nodes:2")
		})
	}
	return nodes
}

// TestCluster: the contract, then a slot that moves to the other node while its
// key is in use.
func TestCluster(t *testing.T) {
	nodes := startCluster(t)
	s := open(t, nodes[0].Addr, redis.Config{Cluster: true})
	idemtest.TestStore(t, func(*testing.T) idem.Store { return s })
	c := client(open(t, nodes[0].Addr, redis.Config{Cluster: true}))
	name, _ := key.Name()
	slot := nodes[0].do(t, "CLUSTER", "KEYSLOT", name).(int64)
	from, to := nodes[slot/8192], nodes[1-slot/8192]
	fromID, toID := from.do(t, "CLUSTER", "MYID"), to.do(t, "CLUSTER", "MYID")
	host, port, _ := net.SplitHostPort(to.Addr)
	_, err := c.Do(bg, key, nil, redo, func(ctx context.Context, a *idem.Attempt) ([]byte, error) {
		to.do(t, "CLUSTER", "SETSLOT", slot, "IMPORTING", fromID)
		from.do(t, "CLUSTER", "SETSLOT", slot, "MIGRATING", toID)
		ok(t, a.Mark(ctx, []byte("still here")))
		from.do(t, "MIGRATE", host, port, name, 0, 30000)
		ok(t, a.Mark(ctx, []byte("asked over there"))) // ASK
		for _, n := range []*server{to, from} {
			n.do(t, "CLUSTER", "SETSLOT", slot, "NODE", toID)
		}
		ok(t, a.Mark(ctx, []byte("moved"))) // MOVED
		return []byte("done"), nil
	})
	check(t, err == nil, "while its slot moved", err)
	rec, err := c.Lookup(bg, key)
	check(t, err == nil && rec.State == idem.Done && string(rec.Step) == "moved", "record", rec)
	check(t, c.Stats().Suspected() == 0, "stats", c.Stats())
}
