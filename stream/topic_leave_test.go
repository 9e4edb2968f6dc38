package stream

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// Cancel ends the subscription, tells Ended once, and leaves the stream alone.
func TestCancel(t *testing.T) {
	for _, where := range []string{"joining", "live", "behind", "filtered"} {
		r := newRig(1)
		topic := newTopic(r, TopicConfig{})
		f := r.stream(t, r.session(0))
		told := 0
		o := SubOptions{Ended: func(err error) {
			if told++; err != nil {
				t.Errorf("%s: told %v", where, err)
			}
		}}
		if where == "filtered" {
			o.Filter = even
		}
		sub := mustSubscribe(t, topic, f, o)
		if where != "joining" {
			r.settle()
		}
		sent := 0
		if where == "live" || where == "filtered" {
			sent = 1
			number(t, topic, "")
			number(t, topic, "")
			r.settle()
		}
		if where == "live" {
			sent = 2
		}
		if where == "behind" {
			f.stall()
			number(t, topic, "")
			r.settle()
		}
		sub.Cancel()
		sub.Cancel()
		r.settle()
		f.give(1)
		number(t, topic, "")
		r.settle()
		if n := sub.Stats().Sent; n != uint64(sent) {
			t.Errorf("%s: %d sent, want %d", where, n, sent)
		}
		if f.pushes != sent || f.over || told != 1 || topic.Len() != 0 || f.source != nil {
			t.Errorf("%s: %d pushes, stream over %v, told %d times, %d subscribers", where, f.pushes, f.over, told, topic.Len())
		}
		checkLeftovers(t, r, topic)
	}
}

// Streams may end, subscribe and cancel in the middle of a push or a flush, as
// a session does that breaks: nobody else loses or doubles a message.
func TestLeaveDuringServe(t *testing.T) {
	for _, when := range []string{"push", "flush"} {
		for victim := range 6 {
			for actor := range 6 {
				leaveDuring(t, when, victim, actor)
			}
		}
	}
}

func leaveDuring(t *testing.T, when string, victim, actor int) {
	r := newRig(1)
	topic := newTopic(r, TopicConfig{Gap: gapText})
	s, s2 := r.session(0), r.session(0)
	var streams []*fakeStream
	for i := range 6 {
		f := r.stream(t, s)
		if i >= 4 {
			f.sess = s2
		}
		streams = append(streams, f)
		o := SubOptions{}
		if i%2 == 1 {
			o.Filter = func([]byte, string) bool { return true }
		}
		mustSubscribe(t, topic, f, o)
	}
	r.settle()
	late := r.stream(t, s)
	act := func() {
		if streams[victim].over {
			return
		}
		streams[victim].close()
		mustSubscribe(t, topic, late, SubOptions{From: 1})
	}
	if when == "push" {
		streams[actor].onPush = func(*Message) { act() }
	} else {
		streams[actor].sess.onFlush = act
	}
	for range 2 {
		number(t, topic, "")
		number(t, topic, "")
		r.settle()
	}
	for i, f := range streams {
		if got := f.take(); i != victim && got != "1 2 3 4" {
			t.Errorf("%s by %d, %d left: %d got %q", when, actor, victim, i, got)
		}
	}
	if got := late.take(); got != "1 2 3 4" {
		t.Errorf("%s by %d, %d left: the one that came then got %q", when, actor, victim, got)
	}
	checkLeftovers(t, r, topic)
}

// Close: who is up to date ends at once, with what was published before; who is
// behind gets it, or runs out of time.
func TestTopicClose(t *testing.T) {
	cause := &Status{Code: Unavailable, Message: "going away"}
	r := newRig(2)
	topic := newTopic(r, TopicConfig{CloseWait: time.Minute})
	var streams []*fakeStream
	for i := range 8 {
		f := r.stream(t, r.session(i%2))
		o := SubOptions{}
		if i >= 6 {
			o.Filter = even
		}
		if i < 2 {
			o.Ended = func(err error) {
				if err != cause {
					t.Errorf("told %v", err)
				}
			}
		}
		streams = append(streams, f)
		mustSubscribe(t, topic, f, o)
	}
	r.settle()
	streams[2].stall()
	streams[3].stall()
	number(t, topic, "")
	r.settle()
	number(t, topic, "") // still on its way when the topic is closed
	topic.Close(cause)
	topic.Close(nil)
	if _, err := topic.Publish(nil); !errors.Is(err, ErrClosed) {
		t.Errorf("published: %v", err)
	}
	if _, err := topic.subscribe(streams[0], SubOptions{}); !errors.Is(err, ErrClosed) {
		t.Errorf("subscribed: %v", err)
	}
	r.settle()
	streams[2].give(1)
	if streams[2].over {
		t.Error("ended before it had everything")
	}
	streams[2].give(1)
	r.pass(time.Minute)
	for i, want := range []string{"1 2", "1 2", "1 2", "", "1 2", "1 2", "2", "2"} {
		f := streams[i]
		status := error(cause)
		switch i {
		case 0, 1:
			status = nil // Ended's business
		case 3:
			status = statusSlow
		}
		if got := f.take(); got != want || f.status != status {
			t.Errorf("%d: got %q, ended with %v", i, got, f.status)
		}
	}
	if st := topic.Stats(); st.Subs != 0 || st.Shards != 0 || st.HeldBytes != 0 || st.Disconnected != 1 {
		t.Errorf("%+v", st)
	}
}

// Subscriptions on their way when the topic is closed get what was published since,
// and its end: also on a loop where there was nobody, and where the topic has ended
// but for one who is behind. One that was canceled does not keep the log.
func TestCloseWhileJoining(t *testing.T) {
	cause := &Status{Code: Unavailable}
	for name, there := range map[string]int{"nobody was there": -1, "one who is up to date": anyRoom, "one who is behind": 0} {
		r := newRig(2)
		topic := newTopic(r, TopicConfig{CloseWait: time.Minute})
		if there >= 0 {
			f := r.stream(t, r.session(0))
			f.room = there
			mustSubscribe(t, topic, f, SubOptions{})
			r.settle()
		}
		number(t, topic, "")
		r.settle()
		quick, told, stalled, left := r.stream(t, r.session(0)), r.stream(t, r.session(0)), r.stream(t, r.session(0)), r.stream(t, r.session(1))
		stalled.stall()
		mustSubscribe(t, topic, quick, SubOptions{})
		var heard []error
		mustSubscribe(t, topic, told, SubOptions{Ended: func(err error) { heard = append(heard, err) }})
		mustSubscribe(t, topic, stalled, SubOptions{})
		mustSubscribe(t, topic, left, SubOptions{}).Cancel()
		late := r.posts[0] // behind all that was posted after them
		r.posts[0] = nil
		slices.Reverse(r.posts[1])
		number(t, topic, "")
		number(t, topic, "")
		topic.Close(cause)
		r.settle()
		r.posts[0] = late
		r.settle()
		if got := quick.take(); got != "2 3" || quick.status != error(cause) {
			t.Errorf("%s: got %q, ended with %v", name, got, quick.status)
		}
		if got := told.take(); got != "2 3" || len(heard) != 1 || heard[0] != error(cause) {
			t.Errorf("%s: got %q, told %v", name, got, heard)
		}
		if stalled.over {
			t.Errorf("%s: ended before its time", name)
		}
		r.pass(time.Minute)
		if stalled.status != error(statusSlow) {
			t.Errorf("%s: one who takes nothing ended with %v", name, stalled.status)
		}
		if st := topic.Stats(); st.Subs != 0 || st.Shards != 0 || st.Held != 0 {
			t.Errorf("%s: %+v", name, st)
		}
	}
}

// All pushes of a session leave in one flush for each run.
func TestOneFlushForEachSession(t *testing.T) {
	r := newRig(1)
	topic := newTopic(r, TopicConfig{})
	sessions := []*fakeSession{r.session(0), r.session(0)}
	for i := range 50 {
		mustSubscribe(t, topic, r.stream(t, sessions[i%2]), SubOptions{})
	}
	r.settle()
	before := sessions[0].flushes
	for range 10 {
		number(t, topic, "")
	}
	r.settle()
	for i, s := range sessions {
		if n := s.flushes - before; n != 1 || s.depth != 0 {
			t.Errorf("session %d: %d flushes, depth %d", i, n, s.depth)
		}
	}
}

// A session that breaks while the round goes on takes its group along; those
// behind it in the round are served all the same.
func TestGroupLeavesDuringRound(t *testing.T) {
	for broken := range 3 {
		r := newRig(1)
		topic := newTopic(r, TopicConfig{})
		var sessions []*fakeSession
		var streams []*fakeStream
		for i := range 9 {
			if i < 3 {
				sessions = append(sessions, r.session(0))
			}
			f := r.stream(t, sessions[i%3])
			streams = append(streams, f)
			mustSubscribe(t, topic, f, SubOptions{})
		}
		r.settle()
		sessions[broken].onFlush = func() {
			for i := broken; i < 9; i += 3 {
				streams[i].close()
			}
			sessions[broken].onFlush = nil
		}
		for range 3 {
			number(t, topic, "")
			r.settle()
		}
		for i, f := range streams {
			if got := f.take(); i%3 != broken && got != "1 2 3" {
				t.Errorf("session %d broke: %d got %q", broken, i, got)
			}
		}
		checkLeftovers(t, r, topic)
	}
}

// A stream that is pulled while its group is being served gets what the others
// get, once.
func TestPullDuringServe(t *testing.T) {
	for actor := range 3 {
		r := newRig(1)
		topic := newTopic(r, TopicConfig{Gap: gapText})
		s := r.session(0)
		var streams []*fakeStream
		for range 4 {
			f := r.stream(t, s)
			streams = append(streams, f)
			mustSubscribe(t, topic, f, SubOptions{})
		}
		r.settle()
		streams[3].stall()
		number(t, topic, "")
		r.settle()
		streams[actor].onPush = func(*Message) { streams[3].give(anyRoom) }
		for range 2 {
			number(t, topic, "")
			number(t, topic, "")
			r.settle()
		}
		for i, f := range streams {
			if got := f.take(); got != "1 2 3 4 5" {
				t.Errorf("during the push to %d: %d got %q", actor, i, got)
			}
		}
		checkLeftovers(t, r, topic)
	}
}

// What is left of a snapshot is let go with its stream.
func TestLeaveDuringSnapshot(t *testing.T) {
	r := newRig(1)
	topic := newTopic(r, TopicConfig{})
	f := r.stream(t, r.session(0))
	f.room = 1
	state := []*Message{NewMessage([]byte("a")), NewMessage([]byte("b")), NewMessage([]byte("c"))}
	mustSubscribe(t, topic, f, SubOptions{Snapshot: func() ([]*Message, uint64) { return state, 0 }})
	r.settle()
	f.close()
	for i, m := range state {
		if m == nil || m.refs.Load() != 0 {
			t.Errorf("part %d: %+v", i, m)
		}
	}
	checkLeftovers(t, r, topic)
}

// A subscription on a loop that has ended is refused.
func TestSubscribeAfterEnd(t *testing.T) {
	sp := newSpinners(1)
	topic := newTopic(sp, TopicConfig{})
	sp.close()
	f := newRig(1).stream(t, &fakeSession{})
	if _, err := topic.subscribe(f, SubOptions{}); !errors.Is(err, ErrClosed) || topic.Len() != 0 {
		t.Errorf("%v, %d subscribers", err, topic.Len())
	}
}
