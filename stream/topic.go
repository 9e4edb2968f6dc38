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
	tally  TopicStats // of shards that are no more
	closed bool
	err    error // what Close was given
}

// TopicConfig says how a topic is made. The zero value works.
type TopicConfig struct {
	Name string // for statistics

	Ring      int // messages that are kept, and may be owed to a subscriber. 0: 1024
	RingBytes int // likewise in bytes, with 5 for each message; with Conflate once more for the values of keys. 0: 4 MiB
	Inbox     int // messages that may wait for a loop before Publish answers ErrFull. 0: 1024; at most Ring
	Keys      int // Conflate: keys of which the value is kept; above, the one that has not changed for longest is forgotten. 0: 65536
	MaxSubs   int // subscriptions. 0: 1,048,576

	// CloseWait is how long subscribers that are behind may take, after Close,
	// to send what was published before. 0: 5 s
	CloseWait time.Duration

	// Gap makes the message that tells a client what it has missed: appended to
	// dst, the encoded form of "from to to, both included, are not coming". It
	// is called on the loop and must not block. With a filter, messages that
	// would not have passed it are in the range too. nil: clients are told
	// nothing.
	Gap func(dst []byte, from, to uint64) []byte

	// SubOptions are what subscriptions have that leave theirs zero.
	SubOptions
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

func orDefault[T ~int | ~int64](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// shapeOf fills in what o leaves to the topic, or to the defaults.
func (t *Topic) shapeOf(o SubOptions) shape {
	d := t.cfg.SubOptions
	sh := shape{topic: t, policy: o.Policy, queue: o.Queue, wait: o.Wait, filter: o.Filter, snapshot: o.Snapshot, ended: o.Ended}
	if int(sh.policy) >= policies || sh.policy == 0 {
		sh.policy = d.Policy
	}
	if int(sh.policy) >= policies || sh.policy == 0 {
		sh.policy = DropOldest
	}
	orDefault(&sh.queue, d.Queue)
	orDefault(&sh.queue, 64)
	sh.queue = min(sh.queue, t.cfg.Ring)
	if sh.policy == Latest {
		sh.queue = 1
	}
	orDefault(&sh.wait, d.Wait)
	orDefault(&sh.wait, time.Second)
	if sh.filter == nil {
		sh.filter = d.Filter
	}
	if sh.snapshot == nil {
		sh.snapshot = d.Snapshot
	}
	if sh.ended == nil {
		sh.ended = d.Ended
	}
	return sh
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

// Publish sends payload p, which it copies, to all subscribers and returns the
// message's number, one more than the last one's. It never waits: ErrFull when
// a loop has not taken the last Inbox messages or RingBytes bytes yet (nobody
// gets the message then), ErrSize when p can never fit, ErrClosed after Close.
func (t *Topic) Publish(p []byte) (seq uint64, err error) {
	m := NewMessage(p)
	defer m.Release()
	return t.PublishMessage(m, "")
}

// PublishMessage does the same with a message that is already encoded, and may
// go to several topics. The reference stays the caller's. Subscribers with
// Conflate keep the last message of each key; messages without one count as of
// the key "".
func (t *Topic) PublishMessage(m *Message, key string) (seq uint64, err error) {
	var buf [8]*shard
	size := len(m.p)
	t.mu.Lock()
	if err := t.admits(size); err != nil {
		t.mu.Unlock()
		return 0, err
	}
	m.Retain()
	t.log.add(published{m, key})
	t.log.trim(t.cfg.Ring, t.cfg.RingBytes)
	seq = t.log.head
	sleeping := buf[:0]
	for _, s := range t.shards {
		s.owed += size
		if !s.posted {
			s.posted = true
			sleeping = append(sleeping, s)
		}
	}
	t.mu.Unlock()
	for _, s := range sleeping {
		t.wake(s)
	}
	return seq, nil
}

// admits says why a message cannot be published. What a loop has not taken
// yet must stay in the log, so it is what bounds the topic's appetite.
func (t *Topic) admits(size int) error {
	switch {
	case t.closed:
		return ErrClosed
	case size > t.cfg.RingBytes:
		return ErrSize
	}
	for _, s := range t.shards {
		if t.log.head-s.taken >= uint64(t.cfg.Inbox) || s.owed+size > t.cfg.RingBytes {
			t.full.Add(1)
			return ErrFull
		}
	}
	return nil
}

// wake posts a shard's run.
func (t *Topic) wake(s *shard) { t.post(s.index, s.again) }

// post runs f on a loop. A loop that is too busy for it is asked again: the
// topic has at most one run on its way to each loop, and for each subscription
// its coming and going.
func (t *Topic) post(loop int, f func()) {
	if err := t.host.Post(loop, f); errors.Is(err, conn.ErrBusy) {
		t.postBusy.Add(1)
		time.AfterFunc(retryPost, func() { t.post(loop, f) })
	}
}

// repost posts a shard's run unless somebody has.
func (t *Topic) repost(s *shard) {
	t.mu.Lock()
	posted := s.posted
	s.posted = true
	t.mu.Unlock()
	if !posted {
		t.wake(s)
	}
}

// arrived notes that the run which was posted is running.
func (t *Topic) arrived(s *shard) {
	t.mu.Lock()
	s.posted = false
	t.mu.Unlock()
}

// Subscribe sends st what is published from now on, or from o.From on, or a
// snapshot and what comes behind it. It takes effect on st's loop, without
// missing what is published after it returned. A stream may subscribe to
// several topics, and be sent to besides: messages of one sender keep their
// order. ErrSubscribers at TopicConfig.MaxSubs, ErrClosed after Close; what
// fails later is told to o.Ended.
//
// Callable from a Handler's methods, and from the goroutine of a method served
// by Go before it detaches.
func (t *Topic) Subscribe(st *Stream, o SubOptions) (*Subscription, error) {
	return t.subscribe((*tap)(st), o)
}

// subscribe is Subscribe for whatever can be pushed to.
func (t *Topic) subscribe(out subscriber, o SubOptions) (*Subscription, error) {
	sh := &t.main
	if o.Policy != 0 || o.Queue != 0 || o.Wait != 0 || o.Filter != nil || o.Snapshot != nil || o.Ended != nil {
		own := t.shapeOf(o)
		sh = &own
	}
	t.mu.Lock()
	from, closed := t.log.head+1, t.closed
	t.mu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	resume := o.From > 0
	if resume {
		from = min(o.From, from)
	}
	if t.subs.Add(1) > int64(t.cfg.MaxSubs) {
		t.subs.Add(-1)
		return nil, ErrSubscribers
	}
	sub := &Subscription{out: out, shape: sh}
	t.post(out.loop(), func() { sub.join(from, resume) })
	return sub, nil
}

// shardOf returns the topic's shard on a loop. Called on that loop.
func (t *Topic) shardOf(loop int) (*shard, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, ErrClosed
	}
	for _, s := range t.shards {
		if s.index == loop {
			return s, nil
		}
	}
	s := &shard{topic: t, index: loop, log: t.log.clone(), taken: t.log.head,
		byBurst: make(map[burst]*group), soonest: never64, oldest: never64}
	s.again = s.run
	t.shards = append(t.shards, s)
	return s, nil
}

// groupOf returns where a subscription is; nil: joining.
func (t *Topic) groupOf(sub *Subscription) *group {
	t.mu.Lock()
	defer t.mu.Unlock()
	return sub.group
}

// retire lets go of a shard without subscribers. Called on its loop.
func (t *Topic) retire(s *shard) {
	t.mu.Lock()
	if i := slices.Index(t.shards, s); i >= 0 {
		t.shards = slices.Delete(t.shards, i, i+1)
		t.tally.count(&s.tally)
	}
	t.letGo()
	t.mu.Unlock()
	s.log.clear()
	if s.keyed != nil {
		s.keyed.clear()
	}
}

// letGo empties the log of a closed topic that nobody follows. mu is held.
func (t *Topic) letGo() {
	if t.closed && len(t.shards) == 0 {
		t.log.clear()
	}
}

// Close ends the topic. Subscribers get what was published before; then their
// streams end with the status of err (nil: OK), unless SubOptions.Ended is set,
// which is told err. Who is behind has TopicConfig.CloseWait. Close does not
// wait for that. Closing again does nothing.
func (t *Topic) Close(err error) {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return
	}
	t.closed, t.err = true, err
	t.letGo()
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
