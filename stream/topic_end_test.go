package stream

import "testing"

// Publishers do not wait for loops that have ended with their runtime.
func TestTopicOutlivesTheRuntime(t *testing.T) {
	var topic *Topic
	subscribed := make(chan struct{})
	p := newCouple(t, Config{}, ClientConfig{}, map[string]Method{"/t/Sub": {Go: func(st *Stream) error {
		defer close(subscribed)
		if _, err := topic.Subscribe(st, SubOptions{}); err != nil {
			return err
		}
		return st.Detach(nil)
	}}})
	topic = NewTopic(p.rt, TopicConfig{Inbox: 10})
	defer topic.Close(nil)
	st, err := p.cli.Call(soon(t), "/t/Sub", CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Cancel() // received messages are kept until then
	<-subscribed
	if _, err := topic.Publish([]byte("first")); err != nil {
		t.Fatal(err)
	}
	if m, err := st.Recv(); err != nil || string(m) != "first" {
		t.Fatalf("%q, %v", m, err)
	}
	p.rt.Close()
	m := NewMessage([]byte("late"))
	defer m.Release()
	for range 30 {
		if _, err := topic.PublishWait(soon(t), m, ""); err != nil {
			t.Fatal("who publishes waits for a loop that has ended: ", err)
		}
	}
	if s := topic.Stats(); s.Shards != 0 || s.Delivered != 1 {
		t.Errorf("%+v", s)
	}
}
