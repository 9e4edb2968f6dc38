package stream

import (
	"fmt"
	"testing"
	"unsafe"
)

// crowd is subscribers of 16 sessions on one loop.
func crowd(t testing.TB, r *rig, topic *Topic, n int, o SubOptions) (streams []*fakeStream) {
	sessions := make([]*fakeSession, 16)
	for i := range sessions {
		sessions[i] = r.session(0)
	}
	for i := range n {
		f := r.stream(t, sessions[i%len(sessions)])
		f.quiet = true
		streams = append(streams, f)
		mustSubscribe(t, topic, f, o)
	}
	r.settle()
	return streams
}

// A delivery allocates nothing: not to those that are up to date, with a filter
// or without, nor to those that catch up.
func TestDeliveryAllocates(t *testing.T) {
	if underRace {
		t.Skip("the race detector allocates")
	}
	m := NewMessage(make([]byte, 64))
	for _, c := range []struct {
		name  string
		o     SubOptions
		stall bool
	}{
		{"up to date", SubOptions{}, false},
		{"filtered", SubOptions{Filter: func(m []byte, _ string) bool { return len(m) == 64 }}, false},
		{"drop oldest", SubOptions{Queue: 2}, true},
		{"drop newest", SubOptions{Policy: DropNewest, Queue: 2}, true},
		{"conflate", SubOptions{Policy: Conflate}, true},
		{"wait", SubOptions{Policy: Wait}, true},
		{"disconnect", SubOptions{Policy: Disconnect}, true},
	} {
		r := newRig(1)
		topic := newTopic(r, TopicConfig{Ring: 128})
		streams := crowd(t, r, topic, 100, c.o)
		deliver := func() {
			for range 4 {
				if c.stall {
					for _, f := range streams {
						f.stall()
					}
				}
				if _, err := topic.PublishMessage(m, "key"); err != nil {
					t.Fatal(err)
				}
				r.posts[0] = append(r.posts[0][:0], topic.shards[0].again)
				topic.shards[0].run()
			}
			if c.stall {
				for _, f := range streams {
					f.give(anyRoom)
				}
			}
		}
		for range 200 { // the log and the lists have grown to their size
			deliver()
		}
		if n := testing.AllocsPerRun(50, deliver); n > 0 {
			t.Errorf("%s: %v allocations for 400 deliveries", c.name, n)
		}
		if st := topic.Stats(); st.Delivered == 0 || st.Subs != 100 {
			t.Errorf("%s: %+v", c.name, st)
		}
	}
}

// What an idle subscription costs besides its stream is part of the promise.
func TestSubscriptionSize(t *testing.T) {
	if n := unsafe.Sizeof(Subscription{}); n > 112 {
		t.Errorf("a Subscription has %d bytes", n)
	}
}

// The fast path: every subscriber is up to date.
func BenchmarkTopicDeliver(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			benchmarkDeliver(b, n, func([]*fakeStream) {})
		})
	}
}

// The slow path: all subscribers fall behind with each message, and catch up.
func BenchmarkTopicCatchUp(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			benchmarkDeliver(b, n, func(streams []*fakeStream) {
				for _, f := range streams {
					f.give(1)
				}
				for _, f := range streams {
					f.stall()
				}
			})
		})
	}
}

func benchmarkDeliver(b *testing.B, n int, after func([]*fakeStream)) {
	r := newRig(1)
	topic := newTopic(r, TopicConfig{})
	streams := crowd(b, r, topic, n, SubOptions{})
	m := NewMessage(make([]byte, 64))
	after(streams)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := topic.PublishMessage(m, ""); err != nil {
			b.Fatal(err)
		}
		r.settle()
		after(streams)
	}
	if st := topic.Stats(); st.Delivered != uint64(b.N*n) {
		b.Errorf("%+v", st)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/delivery")
}

// Slow subscribers cost the others nothing: 1,000 up to date, with as many that
// stand still.
func BenchmarkTopicAmongStalled(b *testing.B) {
	for _, stalled := range []int{0, 1000} {
		b.Run(fmt.Sprint(stalled), func(b *testing.B) {
			r := newRig(1)
			topic := newTopic(r, TopicConfig{})
			streams := crowd(b, r, topic, 1000+stalled, SubOptions{})
			for _, f := range streams[1000:] {
				f.stall()
			}
			m := NewMessage(make([]byte, 64))
			b.ReportAllocs()
			for b.Loop() {
				topic.PublishMessage(m, "")
				r.settle()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*1000), "ns/delivery")
		})
	}
}
