package stream

import (
	"errors"
	"fmt"
	"testing"
)

// A stream with subscriptions to several topics gets each one's messages in
// order, is pulled by all of them, and may leave each.
func TestSeveralTopics(t *testing.T) {
	r := newRig(1)
	f := r.stream(t, r.session(0))
	var topics []*Topic
	var subs []*Subscription
	for range 3 {
		topic := newTopic(r, TopicConfig{})
		topics = append(topics, topic)
		subs = append(subs, mustSubscribe(t, topic, f, SubOptions{}))
	}
	r.settle()
	publish := func(text string) {
		for i, topic := range topics {
			if _, err := topic.Publish(fmt.Appendf(nil, "%c%s", 'a'+i, text)); err != nil {
				t.Fatal(err)
			}
			r.settle()
		}
	}
	f.stall()
	publish("1")
	publish("2")
	f.give(3)
	f.give(3)
	seen := map[byte]string{}
	for _, s := range f.got {
		if s[1:] <= seen[s[0]] {
			t.Errorf("%s after %s", s, seen[s[0]])
		}
		seen[s[0]] = s[1:]
	}
	if len(f.got) != 6 || len(seen) != 3 {
		t.Errorf("got %v", f.got)
	}
	f.take()

	f.stall()
	publish("3")
	subs[1].Cancel()
	r.settle()
	f.give(anyRoom)
	publish("4")
	if got := f.take(); got != "c3 a3 a4 c4" && got != "a3 c3 a4 c4" {
		t.Errorf("without b: %s", got)
	}
	f.close()
	for i, topic := range topics {
		if topic.Len() != 0 {
			t.Errorf("topic %d has %d subscribers", i, topic.Len())
		}
		checkLeftovers(t, r, topic)
	}
}

// Room that comes little by little is shared among the topics.
func TestSeveralTopicsTakeTurns(t *testing.T) {
	r := newRig(1)
	f := r.stream(t, r.session(0))
	for i := range 2 {
		topic := newTopic(r, TopicConfig{})
		mustSubscribe(t, topic, f, SubOptions{From: 1})
		for range 10 {
			if _, err := topic.Publish([]byte{'a' + byte(i)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	f.stall()
	r.settle()
	for range 10 {
		f.give(1)
	}
	if got := f.take(); got != "b a b a b a b a b a" && got != "a b a b a b a b a b" {
		t.Error(got)
	}
}

// A topic that lets go of the stream in the middle of a pull does not keep the
// others from theirs.
func TestSeveralTopicsOneCloses(t *testing.T) {
	for turns := range 3 {
		for closed := range 3 {
			r := newRig(1)
			f := r.stream(t, r.session(0))
			var topics []*Topic
			for range 3 {
				topic := newTopic(r, TopicConfig{})
				topics = append(topics, topic)
				mustSubscribe(t, topic, f, SubOptions{Ended: func(error) {}})
			}
			r.settle()
			f.stall()
			for i, topic := range topics {
				if _, err := topic.Publish([]byte{'a' + byte(i)}); err != nil {
					t.Fatal(err)
				}
			}
			topics[closed].Close(nil)
			r.settle()
			f.source.(*bundle).turn += turns
			f.give(anyRoom)
			if len(f.got) != 3 || topics[closed].Len() != 0 {
				t.Errorf("turn %d, %d closed: got %v", turns, closed, f.got)
			}
		}
	}
}

// All topics may let go in one pull.
func TestSeveralTopicsAllClose(t *testing.T) {
	r := newRig(1)
	f := r.stream(t, r.session(0))
	var topics []*Topic
	for range 2 {
		topic := newTopic(r, TopicConfig{})
		topics = append(topics, topic)
		mustSubscribe(t, topic, f, SubOptions{Ended: func(error) {}})
	}
	r.settle()
	f.stall()
	for _, topic := range topics {
		number(t, topic, "")
		topic.Close(nil)
	}
	r.settle()
	f.give(anyRoom)
	if got := f.take(); got != "1 1" || f.source != nil {
		t.Errorf("got %q, still hung: %v", got, f.source)
	}
}

// One topic may end the stream in the middle of the others' pull.
func TestSeveralTopicsOneEnds(t *testing.T) {
	r := newRig(1)
	f := r.stream(t, r.session(0))
	var topics []*Topic
	for i := range 3 {
		topic := newTopic(r, TopicConfig{})
		topics = append(topics, topic)
		mustSubscribe(t, topic, f, SubOptions{Filter: func([]byte, string) bool {
			if i == 1 {
				panic("no")
			}
			return true
		}})
	}
	r.settle()
	f.stall()
	for _, topic := range topics {
		number(t, topic, "")
		r.settle()
	}
	f.give(anyRoom)
	if !errors.Is(f.status, &Status{Code: Internal}) {
		t.Errorf("ended with %v", f.status)
	}
	for _, topic := range topics {
		checkLeftovers(t, r, topic)
	}
}

// What was sent to a stream before it subscribes comes before all that the topic
// has, also when the loop sees the subscription first: it does posts before pokes.
func TestSentBeforeSubscribed(t *testing.T) {
	r := newRig(1)
	topic := newTopic(r, TopicConfig{})
	subscribed := make(chan error, 1)
	p := newPeer(t, Config{}, goes("/t.T/Subscribe", func(st *Stream) error {
		if err := st.Send([]byte("hello")); err != nil {
			return err
		}
		_, err := topic.Subscribe(st, SubOptions{Snapshot: func() ([]*Message, uint64) {
			return []*Message{NewMessage([]byte("state"))}, 0
		}})
		st.Detach(nil)
		subscribed <- err
		return err
	}))
	p.greet()
	id := p.open("/t.T/Subscribe", false)
	if err := <-subscribed; err != nil {
		t.Fatal(err)
	}
	r.settle()
	p.await("the method's return", func() bool { return p.srv.workers.busy() == 0 })
	p.poke()
	want := string(message("hello")) + string(message("state"))
	if got := string(newGathered().from(p).data[id]); got != want {
		t.Errorf("%q comes, not %q", got, want)
	}
	topic.Close(nil)
	r.settle()
	p.poke()
}
