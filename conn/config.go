package conn

import (
	"runtime"
	"time"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/internal/buf"
	"github.com/weir-go/weir/internal/sock"
)

// Config says how a Runtime is made. The zero value works; each field's zero
// stands in its comment.
type Config struct {
	Loops        int           // at most 256. 0: one for each P, at most 4
	ReadSize     int           // bytes read at once, the size of a loop's shared buffer. 0: 64 KiB; at most 256 KiB
	ReadBudget   int           // bytes one connection delivers in one turn before the others have theirs. 0: 4 x ReadSize
	Events       int           // readiness events taken at once. 0: 256
	MaxConns     int           // open connections. 0: RLIMIT_NOFILE less 64, or less a quarter if that is less; all of it with Bounds
	ByteBudget   int64         // storage of all connections' output and unconsumed input, in bytes. 0: 256 MiB
	PostQueue    int           // functions waiting in one loop's queue. 0: 65536
	CloseTimeout time.Duration // how long Close may take to flush before the connection is aborted, and then to be heard. 0: 5 s
	LingerConns  int           // connections that may wait for their peers' ends, see Conn.Close; more are closed without. 0: MaxConns / 8; negative: none
	LingerBytes  int64         // input that one of them throws away before it is closed all the same. 0: 16 MiB
	Pool         Pool          // runs the work of Conn.Go. nil: an ants pool of PoolSize goroutines, made at the first Go
	PoolSize     int           // 0: 256
	KeepThread   bool          // loops wait in the kernel even when there is little to do: told sooner when all Ps are busy, if they sleep a few milliseconds at most, at several times the cost of a sparse event, see decision 18
	SlowCallback time.Duration // a callback that holds its loop longer is reported, see Trace.Slow. 0: 100 ms; negative: not watched

	// Bounds is what the process may hold: connections are counted before they
	// are accepted or dialed, listeners wait and dials fail (*bounds.Refusal)
	// when it says so. Several runtimes share one. Start has it watch the byte
	// budget, and the Gos under way against PoolSize. It is to be closed after
	// the Runtime. nil: nothing is counted, and MaxConns alone is the limit.
	Bounds *bounds.Bounds

	// Options are the defaults of every connection: what ListenConfig, Dialer
	// and Adopt leave zero is taken from here.
	Options

	// Trace is told what happens, for tests and for people. nil: nobody.
	Trace *Trace
}

// Options are what one connection may have of its own. What is zero is taken
// from Config.Options, and what is zero there too from the comment.
type Options struct {
	Nagle       bool          // true leaves Nagle's algorithm on. false: TCP_NODELAY
	KeepAlive   KeepAlive     // zero: on, 15 s, every 15 s, 9 times
	UserTimeout time.Duration // TCP_USER_TIMEOUT, where there. 0: the system's
	ReadBuffer  int           // SO_RCVBUF in bytes. 0: the system's
	WriteBuffer int           // SO_SNDBUF in bytes. 0: the system's
	HighWater   int           // pending output in bytes at which writes are refused. 0: 1 MiB
	LowWater    int           // pending output at which Drained is called. 0: HighWater / 4
	InLimit     int           // unconsumed input in bytes at which reading stops. 0: 256 KiB, which is also the most
	Idle        time.Duration // no byte in or out for that long ends the connection with ErrIdle. 0: never

	// FirstByte and MinRate are on by themselves where a server faces the world:
	// their zero stands for a default when the connection was accepted by a
	// listener, from a peer that is neither on a Unix socket nor at a loopback
	// address, and for nothing otherwise. For whom a proxy speaks (SpeaksFor) is
	// the peer then. On the blocking face they do not hold, deadlines do.

	FirstByte time.Duration // until the peer's first byte Idle is at most this. 0: 30 s for the world, no limit otherwise; negative: no limit
	MinRate   Rate          // zero: 240 bytes a second after 10 s for the world, no guard otherwise
}

// KeepAlive says when TCP asks a silent peer whether it is still there.
type KeepAlive struct {
	Disable  bool
	Idle     time.Duration // silence before the first probe. 0: 15 s
	Interval time.Duration // between probes. 0: 15 s
	Count    int           // unanswered probes that end the connection. 0: 9
}

// Rate is the least at which a message must come in, against peers that send a
// byte now and then to keep a connection occupied. It counts while input is
// incomplete: while a handler leaves bytes unconsumed. From the moment that
// began, the peer has Grace, and after that must have sent Bytes a second on
// average, or the connection ends with ErrSlow. Time in which it is not the peer
// who is waited for does not count: while reading is paused or work of Go is out,
// output is pending, or input is at InLimit. A handler that leaves bytes because
// it waits for something else pauses.
type Rate struct {
	Bytes int           // per second. 0: see Options.MinRate; negative: no guard
	Grace time.Duration // 0: 5 s
}

// maxLoops is how many a Conn.ID can tell apart.
const maxLoops = 256

func (cfg *Config) setDefaults() {
	setSize(&cfg.Loops, min(runtime.GOMAXPROCS(0), 4))
	cfg.Loops = min(cfg.Loops, maxLoops)
	setSize(&cfg.ReadSize, 64<<10)
	cfg.ReadSize = min(cfg.ReadSize, buf.MaxStorage)
	setSize(&cfg.ReadBudget, 4*cfg.ReadSize)
	setSize(&cfg.Events, 256)
	setSize(&cfg.ByteBudget, 256<<20)
	setSize(&cfg.PostQueue, 1<<16)
	setZero(&cfg.CloseTimeout, 5*time.Second)
	setSize(&cfg.PoolSize, 256)
	setZero(&cfg.SlowCallback, 100*time.Millisecond)
	if cfg.MaxConns <= 0 {
		cfg.MaxConns = defaultMaxConns(cfg.Bounds == nil)
	}
	if cfg.LingerConns == 0 {
		cfg.LingerConns = max(cfg.MaxConns/8, 1)
	}
	setSize(&cfg.LingerBytes, 16<<20)
	cfg.Options = cfg.Options.over(Options{
		KeepAlive: KeepAlive{Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 9},
		HighWater: 1 << 20,
		InLimit:   buf.MaxStorage,
	})
	if cfg.MinRate.Bytes > 0 {
		setZero(&cfg.MinRate.Grace, 5*time.Second)
	}
}

// over fills what is zero in o from base.
func (o Options) over(base Options) Options {
	o.Nagle = o.Nagle || base.Nagle
	o.KeepAlive.Disable = o.KeepAlive.Disable || base.KeepAlive.Disable
	setZero(&o.KeepAlive.Idle, base.KeepAlive.Idle)
	setZero(&o.KeepAlive.Interval, base.KeepAlive.Interval)
	setSize(&o.KeepAlive.Count, base.KeepAlive.Count)
	setZero(&o.UserTimeout, base.UserTimeout)
	setSize(&o.ReadBuffer, base.ReadBuffer)
	setSize(&o.WriteBuffer, base.WriteBuffer)
	if o.HighWater <= 0 {
		o.HighWater = base.HighWater
		setSize(&o.LowWater, base.LowWater)
	}
	if o.LowWater <= 0 || o.LowWater >= o.HighWater {
		o.LowWater = o.HighWater / 4
	}
	setSize(&o.InLimit, base.InLimit)
	o.InLimit = min(o.InLimit, buf.MaxStorage)
	setZero(&o.Idle, base.Idle)
	setZero(&o.FirstByte, base.FirstByte)
	if o.MinRate.Bytes == 0 {
		o.MinRate = base.MinRate
	}
	if o.MinRate.Bytes > 0 {
		setZero(&o.MinRate.Grace, 5*time.Second)
	}
	return o
}

// setZero gives v the value d when it has none.
func setZero(v *time.Duration, d time.Duration) {
	if *v == 0 {
		*v = d
	}
}

// setSize does the same for a size or a count. Below zero there is none either.
func setSize[T int | int64](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// defaultMaxConns leaves room below the descriptor limit for everything that is
// not a connection: pollers, listeners, logs, the name resolver's sockets.
// Bounds do so themselves, and refuse in better ways.
func defaultMaxConns(room bool) int {
	soft, _, err := sock.Limit()
	if err != nil || soft > 1<<24 {
		return 1 << 20
	}
	if room {
		soft -= min(64, soft/4)
	}
	return max(int(soft), 1)
}
