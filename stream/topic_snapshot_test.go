package stream

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// board is a state that is published as it changes: the number of the last
// change, and that many changes.
type board struct {
	mu    sync.Mutex
	topic *Topic
	last  uint64
	taken int
}

// change publishes under the lock that snapshot takes, as a user would.
func (b *board) change(t testing.TB) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = number(t, b.topic, "")
}

func (b *board) snapshot() ([]*Message, uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken++
	return []*Message{NewMessage(fmt.Appendf(nil, "state(%d)", b.last)), NewMessage([]byte("end"))}, b.last
}

func newBoard(r *rig, cfg TopicConfig) *board {
	b := &board{topic: newTopic(r, cfg)}
	b.topic.cfg.Gap = gapText
	return b
}

func (b *board) changes(t testing.TB, r *rig, n int) {
	for range n {
		b.change(t)
		r.settle()
	}
}

// A subscriber gets the state, and then each change after it, once.
func TestSnapshotThenFollow(t *testing.T) {
	r := newRig(1)
	b := newBoard(r, TopicConfig{})
	f := r.stream(t, r.session(0))
	b.changes(t, r, 3)
	mustSubscribe(t, b.topic, f, SubOptions{Snapshot: b.snapshot})
	b.change(t) // before it takes effect: in the snapshot
	r.settle()
	b.changes(t, r, 2)
	if got := f.take(); got != "state(4) end 5 6" {
		t.Error(got)
	}
	checkLeftovers(t, r, b.topic)
}

// Changes that the snapshot contains but the loop has still to get are not
// doubled.
func TestSnapshotAhead(t *testing.T) {
	r := newRig(1)
	b := newBoard(r, TopicConfig{})
	s := r.session(0)
	f, other := r.stream(t, s), r.stream(t, s)
	mustSubscribe(t, b.topic, other, SubOptions{})
	r.settle()
	b.changes(t, r, 1)
	mustSubscribe(t, b.topic, f, SubOptions{Snapshot: b.snapshot}) // its join goes before the run of what follows
	for range 3 {
		b.change(t)
	}
	for _, post := range r.posts[0][:1] {
		post()
	}
	if got := f.take(); got != "state(4) end" {
		t.Errorf("joined: %s", got)
	}
	r.settle()
	b.changes(t, r, 1)
	if got, theirs := f.take(), other.take(); got != "5" || theirs != "1 2 3 4 5" {
		t.Errorf("%s; the other: %s", got, theirs)
	}
	checkLeftovers(t, r, b.topic)
}

// One that is ahead may leave again.
func TestLeaveWhileAhead(t *testing.T) {
	r := newRig(1)
	b := newBoard(r, TopicConfig{})
	s := r.session(0)
	var streams []*fakeStream
	for range 4 {
		f := r.stream(t, s)
		streams = append(streams, f)
		mustSubscribe(t, b.topic, f, SubOptions{Snapshot: b.snapshot})
	}
	b.change(t)
	joins := r.posts[0]
	r.posts[0] = nil
	joins[0]()
	b.change(t)
	for _, f := range joins[1:] { // the shard has not had 2
		f()
	}
	streams[2].close()
	r.settle()
	b.changes(t, r, 1)
	for i, want := range []string{"state(1) end 2 3", "state(2) end 3", "state(2) end", "state(2) end 3"} {
		if got := streams[i].take(); got != want {
			t.Errorf("%d: %s, want %s", i, got, want)
		}
	}
	checkLeftovers(t, r, b.topic)
}

// While the snapshot is sent the policy's queue does not count, the log does: a
// subscriber that is too slow for it gets another snapshot.
func TestSnapshotOfSlowSubscriber(t *testing.T) {
	for _, c := range []struct {
		name   string
		policy Policy
		script string // + is room, a number changes
		want   string
		taken  int
		end    error
	}{
		{"the log has it", DropOldest, "+1 9 +", "state(3) end 4 5 6 7 8 9 10 11 12", 1, nil},
		{"then the queue counts", DropOldest, "9 + 1 stall 5 +", "state(3) end 4 5 6 7 8 9 10 11 12 13 gap(14-16) 17 18", 1, nil},
		{"again", DropOldest, "+1 9 9 +", "state(3) end state(21) end", 2, nil},
		{"again, then it follows", DropOldest, "+1 9 9 +2 3 +", "state(3) end state(21) end 22 23 24", 2, nil},
		{"three times", DropOldest, "+1 20 +2 20 +2 20 +", "state(3) end state(23) end state(43) end gap(44-53) 54 55 56 57 58 59 60 61 62 63", 3, nil},
		{"disconnect, again", Disconnect, "+1 19 +", "state(3) end state(22) end", 2, nil},
		{"disconnect, stands still", Disconnect, "+1 21", "state(3)", 1, statusSlow},
		{"wait", Wait, "+1 19 1s +", "state(3)", 1, statusSlow},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(1)
			b := newBoard(r, TopicConfig{Ring: 10})
			b.changes(t, r, 3)
			f := r.stream(t, r.session(0))
			f.stall()
			mustSubscribe(t, b.topic, f, SubOptions{Policy: c.policy, Queue: 2, Wait: time.Second, Snapshot: b.snapshot})
			r.settle()
			for _, word := range strings.Fields(c.script) {
				var n int
				if _, err := fmt.Sscanf(word+" ", "%d ", &n); err == nil && word[0] != '+' {
					b.changes(t, r, n)
					continue
				}
				play(t, r, b.topic, f, word)
			}
			if got := f.take(); got != c.want || b.taken != c.taken || f.status != c.end {
				t.Errorf("%d snapshots, ended with %v\ngot  %s\nwant %s", b.taken, f.status, got, c.want)
			}
			checkLeftovers(t, r, b.topic)
		})
	}
}

// A client that comes back takes up where it was if the log still has that,
// and else gets the snapshot, or a gap.
func TestFrom(t *testing.T) {
	for _, c := range []struct {
		from     uint64
		snapshot bool
		want     string
	}{
		{0, false, "21"},
		{21, false, "21"},
		{18, false, "18 19 20 21"},
		{18, true, "18 19 20 21"},
		{11, true, "11 12 13 14 15 16 17 18 19 20 21"},
		{10, true, "state(20) end 21"},
		{10, false, "gap(10-10) 11 12 13 14 15 16 17 18 19 20 21"},
		{1, false, "gap(1-10) 11 12 13 14 15 16 17 18 19 20 21"},
		{22, false, "gap(1-10) 11 12 13 14 15 16 17 18 19 20 21"},
		{22, true, "state(20) end 21"},
		{99, false, "gap(1-10) 11 12 13 14 15 16 17 18 19 20 21"},
		{99, true, "state(20) end 21"},
	} {
		r := newRig(1)
		b := newBoard(r, TopicConfig{Ring: 10})
		b.changes(t, r, 20)
		f := r.stream(t, r.session(0))
		o := SubOptions{From: c.from, Queue: 2}
		if c.snapshot {
			o.Snapshot = b.snapshot
		}
		mustSubscribe(t, b.topic, f, o)
		r.settle()
		b.changes(t, r, 1)
		if got := f.take(); got != c.want {
			t.Errorf("from %d, snapshot %v\ngot  %s\nwant %s", c.from, c.snapshot, got, c.want)
		}
		checkLeftovers(t, r, b.topic)
	}
}

// Conflate starts from the log's values of each key.
func TestFromWithKeys(t *testing.T) {
	r := newRig(1)
	topic := newTopic(r, TopicConfig{Gap: gapText})
	for _, key := range []string{"a", "b", "a", "c"} {
		number(t, topic, key)
	}
	f := r.stream(t, r.session(0))
	mustSubscribe(t, topic, f, SubOptions{Policy: Conflate, From: 1})
	r.settle()
	number(t, topic, "b")
	r.settle()
	if got := f.take(); got != "2 3 4 5" {
		t.Error(got)
	}
	checkLeftovers(t, r, topic)
}

// A snapshot that says it contains what was never published is taken to contain
// all that was.
func TestSnapshotFromTheFuture(t *testing.T) {
	r := newRig(1)
	topic := newTopic(r, TopicConfig{})
	f := r.stream(t, r.session(0))
	mustSubscribe(t, topic, f, SubOptions{Snapshot: func() ([]*Message, uint64) { return nil, 1 << 60 }})
	r.settle()
	number(t, topic, "")
	r.settle()
	if got := f.take(); got != "1" {
		t.Error(got)
	}
}

// A stream that ended before its subscription took effect is told so.
func TestSubscribeEndedStream(t *testing.T) {
	r := newRig(1)
	topic := newTopic(r, TopicConfig{})
	f := r.stream(t, r.session(0))
	var told error
	mustSubscribe(t, topic, f, SubOptions{Ended: func(err error) { told = err }})
	f.close()
	r.settle()
	if !errors.Is(told, ErrClosed) || topic.Len() != 0 {
		t.Errorf("told %v, %d subscribers", told, topic.Len())
	}
}
