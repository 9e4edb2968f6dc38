package stream

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-go/weir/conn"
)

// What a topic can answer besides ErrClosed and ErrFull.
var (
	ErrSize        = errors.New("stream: the message is larger than the topic's log")
	ErrSubscribers = errors.New("stream: the topic has as many subscribers as it may")
)

// Topic sends each message to all streams that have subscribed, on whatever
// connections and loops they are. A message is encoded once; publishing waits
// for nobody. Each subscriber gets the messages in the order of their numbers,
// each once, except where its Policy passes some over. The methods may be
// called from any goroutine.
//
//	                    ┌─ loop 0: shard ─┬─ session ── stream, stream, ...
//	Publish ─► log ─────┤                 └─ session ── stream, ...
//	                    └─ loop 1: shard ─── session ── stream, ...
type Topic struct {
	cfg  TopicConfig
	host looper
	main shape // of subscriptions without options of their own

	subs     atomic.Int64
	full     atomic.Uint64
	postBusy atomic.Uint64

	mu     sync.Mutex
	log    history
	shards []*shard
	tally  TopicStats    // of shards that are no more
	roomy  chan struct{} // closed when there is room; nil: nobody waits
	coming int           // subscriptions on their way to their loops
	closed bool
	err    error // what Close was given
}

// NewTopic makes a topic for streams on rt's loops. It costs little until it is
// used, and a topic that nobody has subscribed to need not be closed.
func NewTopic(rt *conn.Runtime, cfg TopicConfig) *Topic { return newTopic(rt, cfg) }

func newTopic(host looper, cfg TopicConfig) *Topic {
	orDefault(&cfg.Ring, 1024)
	orDefault(&cfg.RingBytes, 4<<20)
	orDefault(&cfg.Inbox, 1024)
	orDefault(&cfg.Keys, 65536)
	orDefault(&cfg.MaxSubs, 1<<20)
	orDefault(&cfg.CloseWait, 5*time.Second)
	cfg.Inbox = min(cfg.Inbox, cfg.Ring)
	t := &Topic{cfg: cfg, host: host, log: newHistory(0)}
	t.main = t.shapeOf(SubOptions{})
	return t
}

// Name returns the topic's name.
func (t *Topic) Name() string { return t.cfg.Name }

// Len returns how many subscriptions there are.
func (t *Topic) Len() int { return int(t.subs.Load()) }

// Seq returns the number of the last message published, 0 before the first.
func (t *Topic) Seq() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.log.head
}

// Subscribe sends st what is published from now on, or from o.From on, or a
// snapshot and what comes behind it. It takes effect on st's loop, without
// missing what is published after it returned (unless that is more than Ring
// messages by then: a gap, under every policy). A stream may subscribe to
// several topics, and be sent to besides: messages of one sender keep their
// order. ErrSubscribers at TopicConfig.MaxSubs, ErrClosed after Close and when
// the runtime has ended; what fails later is told to o.Ended.
//
// Callable from a Handler's methods, and from the goroutine of a method served
// by Go before it detaches.
func (t *Topic) Subscribe(st *Stream, o SubOptions) (*Subscription, error) {
	if st.method.out != nil {
		return nil, ErrNoServe // a Client's may change its session
	}
	return t.subscribe((*tap)(st), o)
}

// subscribe is Subscribe for whatever can be pushed to.
func (t *Topic) subscribe(out subscriber, o SubOptions) (*Subscription, error) {
	sh := &t.main
	if o.Policy != 0 || o.Queue != 0 || o.Wait != 0 || o.Filter != nil || o.Snapshot != nil || o.Ended != nil {
		own := t.shapeOf(o)
		sh = &own
	}
	from, err := t.expect()
	if err != nil {
		return nil, err
	}
	if t.subs.Add(1) > int64(t.cfg.MaxSubs) {
		t.subs.Add(-1)
		t.missed()
		return nil, ErrSubscribers
	}
	resume := o.From > 0
	switch {
	case o.From > from: // of an earlier life of the topic: nobody knows what it saw of this one
		from, resume = 1, sh.snapshot == nil
	case resume:
		from = o.From
	}
	sub := &Subscription{out: out, shape: sh}
	if err := t.post(out.loop(), func() { sub.join(from, resume) }); err != nil {
		t.subs.Add(-1)
		t.missed()
		return nil, err
	}
	return sub, nil
}

// expect counts a subscription on its way, for which a topic that is closed
// meanwhile keeps its log, and returns the number of the next message.
func (t *Topic) expect() (next uint64, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return 0, ErrClosed
	}
	t.coming++
	return t.log.head + 1, nil
}

// missed is expect's end for a subscription that does not come.
func (t *Topic) missed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.coming--
	t.letGo()
}

// shardOf returns the topic's shard on a loop, for a subscription that has arrived,
// and whether the topic has been closed meanwhile. Called on that loop.
func (t *Topic) shardOf(loop int) (s *shard, closed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.coming--
	for _, s := range t.shards {
		if s.index == loop {
			return s, t.closed
		}
	}
	s = &shard{topic: t, index: loop, log: t.log.clone(), taken: t.log.head,
		byBurst: make(map[burst]*group), soonest: never64, oldest: never64}
	s.again, s.lost = s.run, func() { t.lose(s) }
	t.shards = append(t.shards, s)
	return s, t.closed
}

// groupOf returns where a subscription is; nil: joining.
func (t *Topic) groupOf(sub *Subscription) *group {
	t.mu.Lock()
	defer t.mu.Unlock()
	return sub.group
}

// retire lets go of a shard without subscribers. Called on its loop.
func (t *Topic) retire(s *shard) {
	t.lose(s)
	s.log.clear()
	if s.keyed != nil {
		s.keyed.clear()
	}
}

// lose lets go of a shard that takes nothing any more. One whose loop has ended
// would keep the topic full, and who waits for room waiting.
func (t *Topic) lose(s *shard) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.shards, s); i >= 0 {
		t.shards = slices.Delete(t.shards, i, i+1)
		s.mu.Lock()
		t.tally.count(&s.tally)
		s.mu.Unlock()
	}
	t.letGo()
	t.hasRoom()
}

// letGo empties the log of a closed topic that nobody follows, nor is about to. mu
// is held.
func (t *Topic) letGo() {
	if t.closed && len(t.shards)+t.coming == 0 {
		t.log.clear()
	}
}

// Close ends the topic. Subscribers, also those that are still on their way to
// their loops, get what was published before; then their streams end with the
// status of err (nil: OK), unless SubOptions.Ended is set, which is told err. Who
// is behind has TopicConfig.CloseWait. Close does not wait for that. Closing again
// does nothing.
func (t *Topic) Close(err error) {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return
	}
	t.closed, t.err = true, err
	t.letGo()
	t.hasRoom()
	shards := slices.Clone(t.shards)
	t.mu.Unlock()
	for _, s := range shards {
		t.repost(s)
	}
}

// cause returns what Close was given.
func (t *Topic) cause() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}
