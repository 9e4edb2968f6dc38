package redis

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strconv"
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

	PoolSize int           // connections, to each node. 0: 10 for each processor
	Timeout  time.Duration // to dial, and to wait for an answer if the context has longer. 0: 3 s

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
	client   goredis.UniversalClient
	replicas int
	wait     time.Duration
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
	s := &Store{client: newClient(cfg), replicas: cfg.Replicas, wait: cfg.ReplicaTimeout}
	if err := s.examine(ctx); err != nil {
		s.client.Close()
		return nil, err
	}
	return s, nil
}

// Close closes the connections. Calls in flight get errors.
func (s *Store) Close() error { return s.client.Close() }

// newClient makes a client that does not try again by itself: whoever asks knows
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

// Begin implements idem.Store.
func (s *Store) Begin(ctx context.Context, name string, c idem.Claim) (idem.Grant, error) {
	v, err := s.run(ctx, begin, s.replicas, name, hex.EncodeToString(c.Owner[:]), hex.EncodeToString(c.Print[:]),
		ms(c.Lease), ms(c.Retain), c.Attempts)
	if err != nil {
		return idem.Grant{}, err
	}
	f, err := fields(v, 8)
	if err != nil {
		return idem.Grant{}, err
	}
	g := idem.Grant{Answer: answers[f.text(0)], Resent: f.number(1) == 1, Version: f.number(2), Fence: f.number(3),
		Attempt: int(f.number(4)), Step: f.bytes(6), Result: f.bytes(7)}
	if g.Answer == idem.Busy {
		g.Left = time.Duration(f.number(5)) * time.Millisecond
	}
	if g.Answer == 0 {
		f.fail("answer")
	}
	return g, f.err
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
	return s.verdict(s.run(ctx, renew, 0, name, hex.EncodeToString(h.Owner[:]), h.Fence, ms(n.Lease), ms(n.Retain), no, string(n.Step)))
}

// Finish implements idem.Store.
func (s *Store) Finish(ctx context.Context, name string, h idem.Hold, f idem.Final) (idem.Verdict, error) {
	return s.verdict(s.run(ctx, finish, s.replicas, name, hex.EncodeToString(h.Owner[:]), h.Fence, string(rune(f.State)),
		string(f.Result), atLeastOne(ms(f.Retain)), hex.EncodeToString(f.Print[:])))
}

// Resolve implements idem.Store.
func (s *Store) Resolve(ctx context.Context, name string, version uint64, f idem.Final) (idem.Verdict, error) {
	return s.verdict(s.run(ctx, resolve, s.replicas, name, version, string(rune(f.State)), string(f.Result), atLeastOne(ms(f.Retain))))
}

// Lookup implements idem.Store. Until and Expires are turned into this machine's
// time.
func (s *Store) Lookup(ctx context.Context, name string) (idem.Record, error) {
	v, err := s.run(ctx, lookup, 0, name)
	if list, isList := v.([]any); err != nil || isList && len(list) == 0 {
		return idem.Record{}, err
	}
	f, err := fields(v, 12)
	if err != nil {
		return idem.Record{}, err
	}
	r := idem.Record{State: f.state(0), Fence: f.number(2), Version: f.number(3), Attempts: int(f.number(4)),
		Taken: f.text(5) == "1", Step: f.bytes(7), StepNo: int(f.number(8)), Result: f.bytes(9)}
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

func (s *Store) verdict(v any, err error) (idem.Verdict, error) {
	if err != nil {
		return 0, err
	}
	text, _ := v.(string)
	verdict := verdicts[text]
	if verdict == 0 {
		return 0, fmt.Errorf("%w: %v", errReply, v)
	}
	return verdict, nil
}

// ms rounds up: a lease of less than a millisecond is none to Redis.
func ms(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}

// atLeastOne keeps PEXPIRE from deleting what it is called for.
func atLeastOne(n int64) string { return strconv.FormatInt(max(n, 1), 10) }
