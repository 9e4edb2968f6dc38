package stream

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Scripts of one subscriber, a word a step:
//
//	3       three messages are published, each its own number; a turn follows
//	b:K     one with the key K
//	stall   the stream has no room
//	+2      it has room for two more
//	+       it has room for any number
//	1s      time goes by
var policyCases = []struct {
	name   string
	script string
	o      SubOptions
	want   string
	stats  SubStats
	end    error
}{
	{name: "up to date", script: "5", o: SubOptions{Policy: DropOldest}, want: "1 2 3 4 5",
		stats: SubStats{Sent: 5}},

	{name: "drop oldest, within the queue", script: "1 stall 3 +", o: SubOptions{Policy: DropOldest, Queue: 3},
		want: "1 2 3 4", stats: SubStats{Sent: 4}},
	{name: "drop oldest", script: "1 stall 8 + 1", o: SubOptions{Policy: DropOldest, Queue: 3},
		want: "1 gap(2-6) 7 8 9 10", stats: SubStats{Sent: 5, Dropped: 5, Gaps: 1}},
	{name: "drop oldest, room for the marker only", script: "1 stall 8 +1 2 +", o: SubOptions{Policy: DropOldest, Queue: 3},
		want: "1 gap(2-6) gap(7-8) 9 10 11", stats: SubStats{Sent: 4, Dropped: 7, Gaps: 2}},
	{name: "drop oldest, little by little", script: "stall 4 +1 4 +2 1 +", o: SubOptions{Policy: DropOldest, Queue: 2},
		want: "gap(1-2) gap(3-6) 7 8 9", stats: SubStats{Sent: 3, Dropped: 6, Gaps: 2}},
	{name: "drop oldest, still behind", script: "stall 5", o: SubOptions{Policy: DropOldest, Queue: 2},
		want: "", stats: SubStats{Behind: 5}},

	{name: "latest", script: "1 stall 5 + 1", o: SubOptions{Policy: Latest, Queue: 50},
		want: "1 gap(2-5) 6 7", stats: SubStats{Sent: 3, Dropped: 4, Gaps: 1}},
	{name: "latest, one missed", script: "stall 1 +", o: SubOptions{Policy: Latest},
		want: "1", stats: SubStats{Sent: 1}},

	{name: "drop newest", script: "1 stall 5 + 2", o: SubOptions{Policy: DropNewest, Queue: 3},
		want: "1 2 3 4 gap(5-6) 7 8", stats: SubStats{Sent: 6, Dropped: 2, Gaps: 1}},
	{name: "drop newest, the hole lasts until the queue is sent", script: "stall 4 +1 2 +1 1 +1 +", o: SubOptions{Policy: DropNewest, Queue: 2},
		want: "1 2 gap(3-6) 7", stats: SubStats{Sent: 3, Dropped: 4, Gaps: 1}},
	{name: "drop newest, behind its marker", script: "stall 3 +2 2 +", o: SubOptions{Policy: DropNewest, Queue: 2},
		want: "1 2 gap(3-3) 4 5", stats: SubStats{Sent: 4, Dropped: 1, Gaps: 1}},
	{name: "drop newest, full twice", script: "stall 3 +2 5 +", o: SubOptions{Policy: DropNewest, Queue: 2},
		want: "1 2 gap(3-3) 4 5 gap(6-8)", stats: SubStats{Sent: 4, Dropped: 4, Gaps: 2}},
	{name: "drop newest, not full", script: "stall 2 + 1", o: SubOptions{Policy: DropNewest, Queue: 2},
		want: "1 2 3", stats: SubStats{Sent: 3}},

	{name: "conflate", script: "b:x stall b:x b:y b:x b:z + b:x b:x", o: SubOptions{Policy: Conflate},
		want: "1 3 4 5 6 7", stats: SubStats{Sent: 6, Superseded: 1}},
	{name: "conflate, without keys", script: "stall 5 + 1", o: SubOptions{Policy: Conflate},
		want: "5 6", stats: SubStats{Sent: 2, Superseded: 4}},
	{name: "conflate, superseded while it is sent", script: "stall b:x b:y b:z +1 b:y +1 b:y +", o: SubOptions{Policy: Conflate},
		want: "1 3 5", stats: SubStats{Sent: 3, Superseded: 2}},
	{name: "conflate, more keys than are kept", script: "stall b:a b:b b:c b:d b:e b:f +", o: SubOptions{Policy: Conflate},
		want: "gap(1-2) 3 4 5 6", stats: SubStats{Sent: 4, Dropped: 2, Gaps: 1}},

	{name: "disconnect, within the queue", script: "1 stall 3 + 1", o: SubOptions{Policy: Disconnect, Queue: 3},
		want: "1 2 3 4 5", stats: SubStats{Sent: 5}},
	{name: "disconnect", script: "1 stall 4 + 1", o: SubOptions{Policy: Disconnect, Queue: 3},
		want: "1", stats: SubStats{Sent: 1}, end: statusSlow},
	{name: "disconnect, later", script: "1 stall 3 +2 2 1 1", o: SubOptions{Policy: Disconnect, Queue: 3},
		want: "1 2 3", stats: SubStats{Sent: 3}, end: statusSlow},

	{name: "wait, in time", script: "1 stall 8 1s +1 1s +3 500ms + 1", o: SubOptions{Policy: Wait, Wait: 3 * time.Second, Queue: 1},
		want: "1 2 3 4 5 6 7 8 9 10", stats: SubStats{Sent: 10}},
	{name: "wait, too long", script: "1 stall 8 1s +1 1s +3 1s + 1", o: SubOptions{Policy: Wait, Wait: 3 * time.Second},
		want: "1 2 3 4 5", stats: SubStats{Sent: 5}, end: statusSlow},
	{name: "wait, the time starts anew", script: "stall 1 2s + stall 1 2s + stall 1 2s +", o: SubOptions{Policy: Wait, Wait: 3 * time.Second},
		want: "1 2 3", stats: SubStats{Sent: 3}},
	{name: "wait, longer than the log", script: "stall 9 8", o: SubOptions{Policy: Wait, Wait: time.Hour},
		want: "", end: statusSlow},

	{name: "longer than the log", script: "1 stall 10 10 +", o: SubOptions{Policy: DropOldest, Queue: 1000},
		want: "1 gap(2-5) 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21", stats: SubStats{Sent: 17, Dropped: 4, Gaps: 1}},
	{name: "drop newest, longer than the log", script: "stall 10 10 +", o: SubOptions{Policy: DropNewest, Queue: 4},
		want: "gap(1-20)", stats: SubStats{Dropped: 20, Gaps: 1}},
	{name: "drop newest, part of the queue lost", script: "stall 10 10 +", o: SubOptions{Policy: DropNewest, Queue: 6},
		want: "gap(1-4) 5 6 gap(7-20)", stats: SubStats{Sent: 2, Dropped: 18, Gaps: 2}},

	{name: "hold", script: "1 stall 3 9 +1 +2 + 1", o: SubOptions{Policy: Hold, Queue: 3, Wait: time.Second},
		want: "1 2 3 4 5 6 7 8 9 10 11 12 13 14", stats: SubStats{Sent: 14}},
	{name: "hold, for too long", script: "1 stall 3 9 1s + 1", o: SubOptions{Policy: Hold, Queue: 3, Wait: time.Second},
		want: "1", stats: SubStats{Sent: 1}, end: statusSlow},
	{name: "hold, each time anew", script: "1 stall 3 2 900ms +1 1 900ms +3 1 900ms + 1 ", o: SubOptions{Policy: Hold, Queue: 3, Wait: time.Second},
		want: "1 2 3 4 5 6 7 8 9", stats: SubStats{Sent: 9}},

	{name: "filter", script: "3 stall 5 + 2", o: SubOptions{Policy: DropOldest, Queue: 4, Filter: even},
		want: "2 gap(4-4) 6 8 10", stats: SubStats{Sent: 4, Dropped: 1, Gaps: 1}},
}

func even(m []byte, _ string) bool { n, _ := strconv.Atoi(string(m)); return n%2 == 0 }

func TestPolicies(t *testing.T) {
	for _, c := range policyCases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(1)
			topic := newTopic(r, TopicConfig{Ring: 16, Keys: 4, Gap: gapText})
			var ended []error
			c.o.Ended = func(err error) { ended = append(ended, err) }
			f := r.stream(t, r.session(0))
			sub := mustSubscribe(t, topic, f, c.o)
			r.settle()
			play(t, r, topic, f, c.script)
			if got := f.take(); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if st := sub.Stats(); c.end == nil && st != c.stats {
				t.Errorf("stats %+v, want %+v", st, c.stats)
			}
			if f.status != c.end || c.end != nil && (len(ended) != 1 || ended[0] != c.end) {
				t.Errorf("ended with %v, told %v, want %v", f.status, ended, c.end)
			}
			checkLeftovers(t, r, topic)
		})
	}
}

func play(t *testing.T, r *rig, topic *Topic, f *fakeStream, script string) {
	t.Helper()
	for _, word := range strings.Fields(script) {
		d, isTime := time.ParseDuration(word)
		n, isNumber := strconv.Atoi(word)
		switch {
		case word == "stall":
			f.stall()
		case word == "+":
			f.give(anyRoom)
		case strings.HasPrefix(word, "+"):
			f.give(n)
		case strings.HasPrefix(word, "b:"):
			number(t, topic, word[2:])
		case isNumber == nil:
			for range n {
				number(t, topic, "")
			}
		case isTime == nil:
			r.pass(d)
		default:
			t.Fatalf("what is %q?", word)
		}
		r.settle()
	}
}

// checkLeftovers ends the topic and its subscribers and looks for what is still
// held.
func checkLeftovers(t *testing.T, r *rig, topic *Topic) {
	t.Helper()
	var held []*Message
	topic.mu.Lock()
	for seq := topic.log.tail; seq <= topic.log.head; seq++ {
		held = append(held, topic.log.at(seq).m)
	}
	topic.mu.Unlock()
	topic.Close(nil)
	r.settle()
	r.pass(time.Hour) // whoever is behind has had his time
	r.settle()
	for _, m := range held {
		if n := m.refs.Load(); n != 0 {
			t.Errorf("message %s: %d references left", m.Bytes(), n)
			return
		}
	}
	st := topic.Stats()
	if st.Subs != 0 || st.Shards != 0 || st.Behind != 0 || st.Held != 0 || st.HeldBytes != 0 {
		t.Errorf("left: %+v", st)
	}
	if n := r.heap.Len(); n != 0 {
		t.Errorf("%d timers left", n)
	}
}

// Policies have names, and those of a topic hold for subscribers without one.
func TestPolicyDefaults(t *testing.T) {
	for p := DropOldest; int(p) < policies; p++ {
		if p.String() == "" || p.String() == "unknown" {
			t.Errorf("policy %d has no name", p)
		}
		topic := newTopic(newRig(1), TopicConfig{SubOptions: SubOptions{Policy: p, Queue: 7, Wait: time.Minute}})
		sh := topic.shapeOf(SubOptions{})
		if queue := 7; sh.policy != p || sh.queue != queue && p != Latest || sh.wait != time.Minute {
			t.Errorf("%v: %+v", p, sh)
		}
		if sh := topic.shapeOf(SubOptions{Policy: DropNewest, Queue: 3, Wait: time.Second}); sh.policy != DropNewest || sh.queue != 3 || sh.wait != time.Second {
			t.Errorf("%v: own options became %+v", p, sh)
		}
	}
	if sh := newTopic(newRig(1), TopicConfig{SubOptions: SubOptions{Policy: 200}}).shapeOf(SubOptions{Policy: 99}); sh.policy != DropOldest || sh.queue != 64 {
		t.Errorf("zero: %+v", sh)
	}
	if Policy(99).String() != "unknown" {
		t.Error(Policy(99))
	}
}

// One subscriber that stands still costs the others nothing: neither messages
// nor order.
func TestSlowAmongOthers(t *testing.T) {
	r := newRig(2)
	topic := newTopic(r, TopicConfig{Gap: gapText})
	var streams []*fakeStream
	for i := range 200 {
		s := r.session(i % 2)
		f := r.stream(t, s)
		if i%100 == 0 {
			f.stall()
		}
		streams = append(streams, f)
		mustSubscribe(t, topic, f, SubOptions{})
	}
	r.settle()
	var want []string
	for range 100 {
		want = append(want, fmt.Sprint(number(t, topic, "")))
		r.settle()
	}
	for i, f := range streams {
		if got, want := f.take(), strings.Join(want, " "); i%100 != 0 && got != want {
			t.Fatalf("stream %d: %s", i, got)
		}
	}
	if st := topic.Stats(); st.Behind != 2 || st.BehindMax != 100 || st.BehindSum != 200 || st.Delivered != 198*100 || st.Subs != 200 {
		t.Errorf("%+v", st)
	}
	streams[0].give(anyRoom)
	if got := streams[0].take(); !strings.HasPrefix(got, "gap(1-36) 37 38 ") || !strings.HasSuffix(got, " 100") {
		t.Error(got)
	}
	if st := topic.Stats(); st.Dropped[DropOldest] != 36 || st.Gaps != 1 || st.Behind != 1 || st.Delivered != 198*100+64 {
		t.Errorf("%+v", st)
	}
	checkLeftovers(t, r, topic)
}

// A subscriber whose functions panic loses its stream, and nobody else does.
func TestPanics(t *testing.T) {
	bad := map[string]SubOptions{
		"Filter":   {Filter: func([]byte, string) bool { panic("no") }},
		"Snapshot": {Snapshot: func() ([]*Message, uint64) { panic("no") }},
		"Ended":    {Ended: func(error) { panic("no") }},
	}
	for name, o := range bad {
		r := newRig(1)
		topic := newTopic(r, TopicConfig{})
		s := r.session(0)
		f, other := r.stream(t, s), r.stream(t, s)
		mustSubscribe(t, topic, f, o)
		mustSubscribe(t, topic, other, SubOptions{})
		r.settle()
		number(t, topic, "")
		r.settle()
		if name == "Ended" {
			f.close()
		} else if !errors.Is(f.status, &Status{Code: Internal}) || !strings.Contains(f.status.Error(), name) {
			t.Errorf("%s: %v", name, f.status)
		}
		number(t, topic, "")
		r.settle()
		if got := other.take(); got != "1 2" {
			t.Errorf("%s: the other got %q", name, got)
		}
		checkLeftovers(t, r, topic)
	}
}
