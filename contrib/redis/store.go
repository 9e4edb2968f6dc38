package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/idem"
	"github.com/weir-go/weir/netconn"
)

// Config says which server. Runtime and Addrs must be set.
type Config struct {
	Runtime *conn.Runtime // whose loops the connections live on

	Addrs   []string // "host:port", or the path of a Unix socket
	Cluster bool     // Addrs are nodes of a cluster, from which the others are learned

	Username string
	Password string
	DB       int         // not in a cluster
	TLS      *tls.Config // nil: none

	// PoolSize is how many connections there are, to each node. Calls share them,
	// so that one is enough: what is asked at once is sent together. 0: 1.
	//
	// Pooled gives each call a connection of its own while it is under way, from
	// go-redis, of which there are PoolSize; 0 is then 10 for each processor. With
	// Cluster, TLS or Replicas it is so in any case.
	PoolSize int
	Pooled   bool

	Timeout time.Duration // to dial, and to wait for an answer if the context has longer. 0: 3 s

	// Replicas is how many replicas must have a grant or an end before it
	// counts (WAIT), within ReplicaTimeout. 0: none; and 500 ms.
	Replicas       int
	ReplicaTimeout time.Duration
}

var (
	// ErrEviction: the server may drop records when its memory is full.
	ErrEviction = errors.New("redis: maxmemory-policy is not noeviction")
	// ErrVersion: the server is older than Redis 5.
	ErrVersion = errors.New("redis: server is too old")
	// ErrReplicas: fewer replicas than Config.Replicas have the change. It is
	// made all the same, and asking again asks them again.
	ErrReplicas = errors.New("redis: too few replicas have answered")
)

// Store is an idem.Store in Redis. Its methods may be called from any goroutine,
// but not on a loop of the Runtime: they wait.
type Store struct {
	shared *shared // nil: pooled is set
	pooled *pooled
}

// Open connects, looks whether the server can be relied upon, and returns the
// Store. Close it before the Runtime.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Runtime == nil || len(cfg.Addrs) == 0 {
		return nil, errors.New("redis: Runtime and Addrs must be set")
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 3 * time.Second
	}
	if cfg.ReplicaTimeout <= 0 {
		cfg.ReplicaTimeout = 500 * time.Millisecond
	}
	var (
		s   Store
		err error
	)
	if cfg.Cluster || cfg.TLS != nil || cfg.Replicas > 0 || cfg.Pooled {
		s.pooled = &pooled{client: newClient(cfg), replicas: cfg.Replicas, wait: cfg.ReplicaTimeout}
		err = s.pooled.examine(ctx)
	} else {
		s.shared = newShared(cfg)
		err = s.shared.examine(ctx)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return &s, nil
}

// Close closes the connections. Calls in flight get errors.
func (s *Store) Close() error {
	if s.pooled != nil {
		return s.pooled.client.Close()
	}
	return s.shared.close()
}

// newClient makes a go-redis client that does not try again by itself: whoever asks knows
// for how long that makes sense. (In a cluster go-redis follows redirections,
// and with them asks up to three times.) It notices a context's deadline, and
// closes a connection on which an answer did not come in time.
func newClient(cfg Config) goredis.UniversalClient {
	dialer := &netconn.Dialer{Runtime: cfg.Runtime, Timeout: cfg.Timeout}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dialer.DialContext(ctx, network, address)
		if err != nil || cfg.TLS == nil {
			return c, err
		}
		return tlsClient(ctx, c, cfg.TLS, address)
	}
	quiet := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	if cfg.Cluster {
		return goredis.NewClusterClient(&goredis.ClusterOptions{
			Addrs: cfg.Addrs, Dialer: dial, Username: cfg.Username, Password: cfg.Password,
			MaxRetries: -1, ContextTimeoutEnabled: true, DisableIdentity: true, MaintNotificationsConfig: quiet,
			PoolSize: cfg.PoolSize, DialTimeout: cfg.Timeout, ReadTimeout: cfg.Timeout, WriteTimeout: cfg.Timeout,
			DialerRetries: 1,
		})
	}
	return goredis.NewClient(&goredis.Options{
		Addr: cfg.Addrs[0], Dialer: dial, Username: cfg.Username, Password: cfg.Password, DB: cfg.DB,
		MaxRetries: -1, ContextTimeoutEnabled: true, DisableIdentity: true, MaintNotificationsConfig: quiet,
		PoolSize: cfg.PoolSize, DialTimeout: cfg.Timeout, ReadTimeout: cfg.Timeout, WriteTimeout: cfg.Timeout,
		DialerRetries: 1,
	})
}

// tlsClient is done here because go-redis leaves it to a Dialer that is given.
func tlsClient(ctx context.Context, c net.Conn, cfg *tls.Config, address string) (net.Conn, error) {
	if cfg.ServerName == "" && !cfg.InsecureSkipVerify {
		cfg = cfg.Clone()
		cfg.ServerName, _, _ = net.SplitHostPort(address)
	}
	t := tls.Client(c, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return t, nil
}

// run asks, unless there is no time for it: by the script's name, and by its text
// only when the server says that it does not know the name. An answer that got
// lost says nothing about what the server knows. There is no interface between
// the two ways to ask, so that args need no storage of their own.
func (s *Store) run(ctx context.Context, sc *script, name string, args ...arg) (*reply, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.pooled != nil {
		r, err := s.pooled.eval(ctx, sc, name, args)
		return r, judge(err)
	}
	r, err := s.shared.eval(ctx, sc, name, args)
	return r, judge(err)
}

// Begin implements idem.Store.
func (s *Store) Begin(ctx context.Context, name string, c idem.Claim) (idem.Grant, error) {
	r, err := s.run(ctx, begin, name, hexed(c.Owner[:]), hexed(c.Print[:]), ms(c.Lease), ms(c.Retain), number(uint64(max(c.Attempts, 0))))
	if err != nil {
		return idem.Grant{}, err
	}
	defer r.release()
	if err := r.fields(8); err != nil {
		return idem.Grant{}, err
	}
	g := idem.Grant{Answer: answers[string(r.list[0])], Resent: r.number(1) == 1, Version: r.number(2), Fence: r.number(3),
		Attempt: int(r.number(4)), Step: r.bytes(6), Result: r.bytes(7)}
	if g.Answer == idem.Busy {
		g.Left = r.ms(5)
	}
	if g.Answer == 0 {
		r.fail("answer")
	}
	return g, r.err
}

var answers = map[string]idem.Answer{"new": idem.New, "takeover": idem.Takeover, "busy": idem.Busy, "done": idem.IsDone,
	"failed": idem.IsFailed, "unknown": idem.IsUnknown, "stuck": idem.Stuck, "mismatch": idem.Mismatch, "late": idem.Late}

// Renew implements idem.Store. It does not wait for replicas: a lease that is
// forgotten ends early, and the context of its owner with the next heartbeat.
func (s *Store) Renew(ctx context.Context, name string, h idem.Hold, n idem.Renewal) (idem.Verdict, error) {
	no := n.StepNo
	if n.Step == nil {
		no = 0
	}
	return verdict(s.run(ctx, renew, name, hexed(h.Owner[:]), number(h.Fence), ms(n.Lease), ms(n.Retain), number(uint64(max(no, 0))), text(n.Step)))
}

// Finish implements idem.Store.
func (s *Store) Finish(ctx context.Context, name string, h idem.Hold, f idem.Final) (idem.Verdict, error) {
	return verdict(s.run(ctx, finish, name, hexed(h.Owner[:]), number(h.Fence), text([]byte{byte(f.State)}), text(f.Result),
		atLeastOne(f.Retain), hexed(f.Print[:])))
}

// Resolve implements idem.Store.
func (s *Store) Resolve(ctx context.Context, name string, version uint64, f idem.Final) (idem.Verdict, error) {
	return verdict(s.run(ctx, resolve, name, number(version), text([]byte{byte(f.State)}), text(f.Result), atLeastOne(f.Retain)))
}

// Lookup implements idem.Store. Until and Expires are turned into this machine's
// time.
func (s *Store) Lookup(ctx context.Context, name string) (idem.Record, error) {
	f, err := s.run(ctx, lookup, name)
	if err != nil {
		return idem.Record{}, err
	}
	defer f.release()
	if f.array && f.n == 0 {
		return idem.Record{}, nil
	}
	if err := f.fields(12); err != nil {
		return idem.Record{}, err
	}
	r := idem.Record{State: f.state(0), Fence: f.number(2), Version: f.number(3), Attempts: int(f.number(4)),
		Taken: string(f.list[5]) == "1", Step: f.bytes(7), StepNo: int(f.number(8)), Result: f.bytes(9)}
	f.hex(1, r.Owner[:])
	f.hex(6, r.Print[:])
	now := time.Now()
	if r.State == idem.Running {
		r.Until = now.Add(f.ms(10))
	}
	if left := f.ms(11); left >= 0 {
		r.Expires = now.Add(left)
	}
	return r, f.err
}

var verdicts = map[string]idem.Verdict{"ok": idem.OK, "healed": idem.Healed, "lost": idem.Lost, "conflict": idem.Conflict}

func verdict(r *reply, err error) (idem.Verdict, error) {
	if err != nil {
		return 0, err
	}
	defer r.release()
	v := verdicts[string(r.list[0])]
	if r.array || v == 0 {
		return 0, fmt.Errorf("%w: %.100q", errReply, r.list[:r.n])
	}
	return v, nil
}

// atLeastOne keeps PEXPIRE from deleting what it is called for.
func atLeastOne(d time.Duration) arg { return number(uint64(max(millis(d), 1))) }
