package stream

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// The log keeps at most Ring messages and RingBytes bytes, on each loop and in
// the topic, whoever is behind.
func TestTopicKeepsWithinBounds(t *testing.T) {
	const bytes = 1000
	r := newRig(2)
	topic := newTopic(r, TopicConfig{Ring: 20, RingBytes: bytes, Gap: gapText})
	for loop := range 2 {
		f := r.stream(t, r.session(loop))
		f.stall()
		mustSubscribe(t, topic, f, SubOptions{Policy: DropOldest})
		f = r.stream(t, r.session(loop))
		f.stall()
		mustSubscribe(t, topic, f, SubOptions{Policy: Conflate})
	}
	r.settle()
	for i := range 200 {
		m := NewMessage(make([]byte, i))
		if _, err := topic.PublishMessage(m, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		m.Release()
		r.settle()
		if st := topic.Stats(); st.Held > 20 || st.HeldBytes > bytes {
			t.Fatalf("message %d: %+v", i, st)
		}
		for _, s := range topic.shards {
			if s.log.len() > 20 || s.log.bytes > bytes || s.keyed.bytes > bytes || len(s.log.ring) > 32 {
				t.Fatalf("message %d: the shard holds %d messages, %d bytes, %d of keys", i, s.log.len(), s.log.bytes, s.keyed.bytes)
			}
		}
		if n := m.refs.Load(); n < 3 { // the topic's, two shards'
			t.Fatalf("message %d has %d references while it is held", i, n)
		}
	}
	checkLeftovers(t, r, topic)
}

// What can never fit is refused, and what is refused reaches nobody.
func TestPublishTooLarge(t *testing.T) {
	r := newRig(1)
	topic := newTopic(r, TopicConfig{RingBytes: 105})
	f := r.stream(t, r.session(0))
	mustSubscribe(t, topic, f, SubOptions{})
	r.settle()
	if _, err := topic.Publish(make([]byte, 101)); !errors.Is(err, ErrSize) {
		t.Errorf("101 bytes: %v", err)
	}
	if seq, err := topic.Publish(make([]byte, 100)); err != nil || seq != 1 {
		t.Errorf("100 bytes: %d, %v", seq, err)
	}
	r.settle()
	if f.pushes != 1 {
		t.Errorf("%d messages came", f.pushes)
	}
}

// A loop that does not turn fills its inbox, by number or by bytes, and then
// publishing is refused until it has.
func TestPublishFull(t *testing.T) {
	for _, c := range []struct {
		cfg  TopicConfig
		size int
		room int
	}{
		{TopicConfig{Inbox: 5, Ring: 10}, 1, 5},
		{TopicConfig{Inbox: 50, Ring: 10}, 1, 10}, // at most Ring
		{TopicConfig{RingBytes: 1000}, 95, 10},
		{TopicConfig{RingBytes: 1000}, 995, 1},
	} {
		r := newRig(2)
		topic := newTopic(r, c.cfg)
		streams := []*fakeStream{r.stream(t, r.session(0)), r.stream(t, r.session(1))}
		for _, f := range streams {
			mustSubscribe(t, topic, f, SubOptions{})
		}
		r.settle()
		for round := 1; round < 3; round++ {
			for i := range c.room {
				if _, err := topic.Publish(make([]byte, c.size)); err != nil {
					t.Fatalf("%+v: message %d: %v", c.cfg, i, err)
				}
				for r.turn(0) { // only this loop takes what there is
				}
			}
			before := topic.Seq()
			if _, err := topic.Publish(make([]byte, c.size)); !errors.Is(err, ErrFull) || topic.Seq() != before {
				t.Fatalf("%+v: one more: %v, number %d", c.cfg, err, topic.Seq())
			}
			r.settle()
			if st := topic.Stats(); st.Full != uint64(round) || st.Published != uint64(round*c.room) || st.Delivered != 2*st.Published {
				t.Errorf("%+v: %+v", c.cfg, st)
			}
		}
		checkLeftovers(t, r, topic)
	}
}

// Keys above TopicConfig.Keys are forgotten, oldest change first, and empty
// slots do not pile up however long a subscriber stands still.
func TestKeysBounded(t *testing.T) {
	r := newRig(1)
	topic := newTopic(r, TopicConfig{Keys: 10, Gap: gapText})
	f := r.stream(t, r.session(0))
	f.stall()
	mustSubscribe(t, topic, f, SubOptions{Policy: Conflate})
	r.settle()
	for i := range 2000 {
		number(t, topic, fmt.Sprint(i%15))
		r.settle()
		if c := topic.shards[0].keyed; len(c.index) > 10 || len(c.slots) > 2*10+leastRing+1 {
			t.Fatalf("%d keys, %d slots", len(c.index), len(c.slots))
		}
	}
	for range 500 {
		number(t, topic, "one") // supersedes itself only
		r.settle()
	}
	f.give(anyRoom)
	if got := f.take(); got != "gap(1-1991) 1992 1993 1994 1995 1996 1997 1998 1999 2000 2500" {
		t.Error(got)
	}
	checkLeftovers(t, r, topic)
}

// TestMaxSubs: one more than MaxSubs is refused until one has left.
func TestMaxSubs(t *testing.T) {
	r := newRig(1)
	topic := newTopic(r, TopicConfig{MaxSubs: 2})
	s := r.session(0)
	one := mustSubscribe(t, topic, r.stream(t, s), SubOptions{})
	mustSubscribe(t, topic, r.stream(t, s), SubOptions{})
	if _, err := topic.subscribe(r.stream(t, s), SubOptions{}); !errors.Is(err, ErrSubscribers) || topic.Len() != 2 {
		t.Errorf("%v, %d subscribers", err, topic.Len())
	}
	one.Cancel() // before it has joined
	r.settle()
	mustSubscribe(t, topic, r.stream(t, s), SubOptions{})
	checkLeftovers(t, r, topic)
}

// One run makes at most about runBudget pushes, whatever there is to do, and the
// next one goes on where it stopped.
func TestRunBudget(t *testing.T) {
	r := newRig(1)
	topic := newTopic(r, TopicConfig{})
	const sessions, each, messages = 40, 1000, 20
	var streams []*fakeStream
	for range sessions {
		s := r.session(0)
		for range each {
			f := r.stream(t, s)
			f.quiet = true
			streams = append(streams, f)
			mustSubscribe(t, topic, f, SubOptions{})
		}
	}
	r.settle()
	for range messages {
		number(t, topic, "")
	}
	pushes := func() (n int) {
		for _, f := range streams {
			n += f.pushes
		}
		return n
	}
	turns := 0
	for before := 0; r.turn(0); before = pushes() {
		if n := pushes() - before; n > runBudget+each {
			t.Fatalf("%d pushes in one turn", n)
		}
		turns++
	}
	if n := pushes(); n != sessions*each*messages || turns < n/(runBudget+each) {
		t.Errorf("%d pushes in %d turns", n, turns)
	}
}

// A post that the loop is too busy for is tried again.
func TestPostBusy(t *testing.T) {
	r := newRig(1)
	topic := newTopic(r, TopicConfig{})
	f := r.stream(t, r.session(0))
	got := make(chan struct{})
	f.onPush = func(*Message) { close(got) }
	mustSubscribe(t, topic, f, SubOptions{})
	r.settle()
	r.busy = 3
	number(t, topic, "")
	for deadline := time.Now().Add(10 * time.Second); ; {
		r.settle()
		select {
		case <-got:
		case <-time.After(time.Millisecond):
			if time.Now().Before(deadline) {
				continue
			}
			t.Fatal("the message never came")
		}
		break
	}
	if st := topic.Stats(); st.PostBusy != 3 {
		t.Errorf("%+v", st)
	}
}

// A shard is let go with the first publish that finds nobody, and made anew out
// of the topic's log: who comes back later misses nothing.
func TestShardComesAndGoes(t *testing.T) {
	r := newRig(1)
	topic := newTopic(r, TopicConfig{})
	s := r.session(0)
	for round := range 3 {
		f := r.stream(t, s)
		sub := mustSubscribe(t, topic, f, SubOptions{From: uint64(3*round + 1)})
		r.settle()
		number(t, topic, "")
		r.settle()
		if n := topic.Stats().Shards; n != 1 {
			t.Errorf("%d shards", n)
		}
		sub.Cancel()
		r.settle()
		for range 2 {
			number(t, topic, "")
			r.settle()
		}
		if n := topic.Stats().Shards; n != 0 {
			t.Errorf("%d shards without subscribers", n)
		}
		want := []string{"1", "4", "7"}[round]
		if got := f.take(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if st := topic.Stats(); st.Delivered != 3 {
		t.Errorf("%+v", st)
	}
	f := r.stream(t, s)
	mustSubscribe(t, topic, f, SubOptions{From: 1})
	r.settle()
	if got := f.take(); got != "1 2 3 4 5 6 7 8 9" {
		t.Error(got)
	}
	checkLeftovers(t, r, topic)
}
