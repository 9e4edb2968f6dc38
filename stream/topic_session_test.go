package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/h2"
)

// 1,000 subscribers on 16 connections, of which one in a hundred never opens its
// window, and 50 more on a connection that is never read: the others get every
// message, in order, and what is held for the slow ones is bounded.
func TestTopicOverSessions(t *testing.T) {
	const conns, perConn = 16, 63
	messages := 3000
	if underRace || testing.Short() {
		messages = 500
	}
	var topic *Topic
	rt, srv, addr := serveTopic(t, conn.Config{Loops: 2}, func(st *Stream) error {
		_, err := topic.Subscribe(st, SubOptions{})
		return err
	})
	topic = NewTopic(rt, TopicConfig{RingBytes: 1 << 20})

	dead := listen(t, addr, 1<<30) // never reads
	for i := range 50 {
		dead.open(uint32(2*i+1), "/t.T/Subscribe", nil)
	}
	var wg sync.WaitGroup
	readers := make([]*reader, conns)
	for c := range readers {
		l := listen(t, addr, 0)
		r := &reader{l: l, due: make([]uint64, perConn)}
		readers[c] = r
		for i := range perConn {
			id := uint32(2*i + 1)
			l.open(id, "/t.T/Subscribe", nil)
			if slow := (c*perConn+i)%100 == 0; !slow {
				l.give(id, 1<<30)
				r.healthy++
			}
		}
		wg.Go(func() { r.read(t, messages) })
	}
	await(t, "all have subscribed", func() bool { return topic.Len() == conns*perConn+50 })

	payload := make([]byte, 64)
	for i := range messages {
		binary.BigEndian.PutUint64(payload, uint64(i+1))
		if _, err := topic.Publish(payload); err != nil {
			t.Fatal(err)
		}
		if i >= 50 { // as fast as the slowest of those that read: Queue is 64
			await(t, "the readers", func() bool {
				for _, r := range readers {
					if r.total.Load() < int64(i-50)*r.healthy {
						return false
					}
				}
				return true
			})
		}
	}
	wg.Wait()
	st := topic.Stats()
	for i, r := range readers {
		if r.total.Load() != r.healthy*int64(messages) {
			t.Errorf("connection %d: %d messages for %d streams", i, r.total.Load(), r.healthy)
		}
	}
	if st.Held > 1024 || st.HeldBytes > 1<<20 || st.Behind < 11 || st.Dropped[DropOldest] != 0 || st.Published != uint64(messages) {
		t.Errorf("%+v", st)
	}
	if n := srv.Stats(); n.Held > 1<<20 {
		t.Errorf("the sessions hold %d bytes", n.Held)
	}
	topic.Close(nil)
}

// reader reads one connection of subscribers, and checks that each gets every
// message in order.
type reader struct {
	l       *listener
	due     []uint64
	healthy int64
	total   atomic.Int64
}

func (r *reader) read(t *testing.T, messages int) {
	r.l.onMsg = func(id uint32, m []byte) {
		i := id / 2
		if r.due[i]++; binary.BigEndian.Uint64(m) != r.due[i] {
			t.Errorf("stream %d: message %d when %d was due", id, binary.BigEndian.Uint64(m), r.due[i])
			r.due[i] = binary.BigEndian.Uint64(m)
		}
		r.total.Add(1)
	}
	for r.total.Load() < r.healthy*int64(messages) {
		if !r.l.read() {
			t.Errorf("the connection has ended after %d messages", r.total.Load())
			return
		}
	}
}

// await waits for what other goroutines do, without a bound of its own but the
// test's patience.
func await(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patienceOfTests); !f(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("waited too long: %s", what)
		}
	}
}

// Each policy does over a session what it does in the small: a client whose
// window opens late finds markers that cover exactly what is missing.
func TestTopicPoliciesOverSessions(t *testing.T) {
	for p := DropOldest; p <= Wait; p++ {
		t.Run(p.String(), func(t *testing.T) {
			var topic *Topic
			ended := make(chan error, 1)
			rt, _, addr := serveTopic(t, conn.Config{Loops: 1}, func(st *Stream) error {
				_, err := topic.Subscribe(st, SubOptions{Policy: p, Queue: 10, Wait: time.Hour, Ended: func(err error) { ended <- err }})
				return err
			})
			topic = NewTopic(rt, TopicConfig{Gap: gapText, Ring: 100})
			l := listen(t, addr, 0)
			a := &auditor{t: t, sparse: p == Conflate}
			l.onMsg = func(_ uint32, m []byte) { a.see(NewMessage(m)) }
			l.open(1, "/t.T/Subscribe", nil)
			await(t, "the subscriber", func() bool { return topic.Stats().Shards == 1 })
			for i := range 50 {
				number(t, topic, fmt.Sprint(i%5))
			}
			if p == Disconnect {
				if err := <-ended; !errors.Is(err, &Status{Code: ResourceExhausted}) {
					t.Errorf("ended with %v", err)
				}
				for l.ends[1] == "" && l.read() {
				}
				if l.ends[1] != "trailers" {
					t.Errorf("the client saw %q", l.ends[1])
				}
				return
			}
			await(t, "the shard", func() bool { return topic.Stats().BehindMax == 50 })
			for a.due != 51 {
				l.give(1, 40) // little by little, across the frames' borders
				for before := l.data; l.data == before; {
					if !l.read() {
						t.Fatalf("the connection has ended: due %d, %d bytes, %q, %+v", a.due, l.data, l.ends[1], topic.Stats())
					}
				}
			}
			l.give(1, 1<<30)
			number(t, topic, "0")
			for a.due != 52 && l.read() {
			}
			want := map[Policy][2]int{DropOldest: {11, 40}, Latest: {2, 49}, DropNewest: {11, 40}, Conflate: {6, 0}, Wait: {51, 0}}[p]
			if a.messages != want[0] || a.missed != uint64(want[1]) {
				t.Errorf("%d messages, %d missed, want %v", a.messages, a.missed, want)
			}
			topic.Close(&Status{Code: Unavailable})
			if err := <-ended; !errors.Is(err, &Status{Code: Unavailable}) {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

// Messages of any length arrive whole, also those that are sent by reference
// and in many frames, to streams that read and to one that lets them through
// drop by drop.
func TestTopicLongMessages(t *testing.T) {
	var topic *Topic
	rt, _, addr := serveTopic(t, conn.Config{Loops: 1}, func(st *Stream) error {
		_, err := topic.Subscribe(st, SubOptions{Policy: Wait, Wait: time.Hour})
		return err
	})
	topic = NewTopic(rt, TopicConfig{})
	sizes := []int{0, 1, shareMin - 5, shareMin, pieceLen - 5, pieceLen, 100_000, 1, 300_000, 64}
	l := listen(t, addr, 0)
	next := map[uint32]int{}
	l.onMsg = func(id uint32, m []byte) {
		i := next[id]
		next[id]++
		if len(m) != sizes[i] {
			t.Errorf("stream %d, message %d: %d bytes, want %d", id, i, len(m), sizes[i])
		}
		for j, b := range m {
			if b != byte(i+j) {
				t.Errorf("stream %d, message %d: byte %d is %d", id, i, j, b)
				return
			}
		}
	}
	for id := uint32(1); id <= 5; id += 2 {
		l.open(id, "/t.T/Subscribe", nil)
	}
	l.give(1, 1<<30)
	l.give(3, 1<<30)
	await(t, "the subscribers", func() bool { return topic.Len() == 3 })
	var messages []*Message
	for i, n := range sizes {
		p := make([]byte, n)
		for j := range p {
			p[j] = byte(i + j)
		}
		m := NewMessage(p)
		messages = append(messages, m)
		if _, err := topic.PublishMessage(m, ""); err != nil {
			t.Fatal(err)
		}
	}
	for next[1] < len(sizes) || next[3] < len(sizes) {
		if !l.read() {
			t.Fatal("the connection has ended")
		}
	}
	for next[5] < len(sizes) {
		l.give(5, 9_973)
		if !l.read() {
			t.Fatal("the connection has ended")
		}
	}
	topic.Close(nil)
	for len(l.ends) < 3 && l.read() {
	}
	await(t, "the references", func() bool {
		for _, m := range messages {
			if m.refs.Load() != 1 {
				return false
			}
		}
		return topic.Stats().Subs == 0
	})
}

// A pull that ends where the window does waits for the next window, and takes
// up there.
func TestTopicPullEndsAtWindow(t *testing.T) {
	var topic *Topic
	rt, _, addr := serveTopic(t, conn.Config{Loops: 1}, func(st *Stream) error {
		_, err := topic.Subscribe(st, SubOptions{From: 1})
		return err
	})
	topic = NewTopic(rt, TopicConfig{})
	for range 4 {
		if _, err := topic.Publish(make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
	}
	l := listen(t, addr, 0)
	n := 0
	l.onMsg = func(uint32, []byte) { n++ }
	l.open(1, "/t.T/Subscribe", nil)
	for range 2 {
		l.give(1, 2*(h2.PrefixLen+5)) // two messages, to the byte
		for want := n + 2; n < want; {
			if !l.read() {
				t.Fatalf("the connection has ended after %d messages", n)
			}
		}
	}
}

// A subscriber that is ended for being slow is gone at once, whatever is queued
// for it: with trailers when it is between two messages, else with a reset.
func TestTopicEndsSlowStream(t *testing.T) {
	for _, c := range []struct {
		window uint32
		want   string
		policy Policy
	}{{0, "trailers", Disconnect}, {3, "reset", Disconnect}, {0, "trailers", Wait}, {3, "reset", Wait}} {
		var topic *Topic
		ended := make(chan error, 1)
		rt, srv, addr := serveTopic(t, conn.Config{Loops: 1}, func(st *Stream) error {
			_, err := topic.Subscribe(st, SubOptions{Policy: c.policy, Queue: 4, Wait: time.Millisecond, Ended: func(err error) { ended <- err }})
			return err
		})
		topic = NewTopic(rt, TopicConfig{})
		l := listen(t, addr, c.window)
		l.open(1, "/t.T/Subscribe", nil)
		await(t, "the subscriber", func() bool { return topic.Stats().Shards == 1 })
		for range 10 {
			number(t, topic, "")
		}
		for l.ends[1] == "" && l.read() {
		}
		if err := <-ended; !errors.Is(err, &Status{Code: ResourceExhausted}) || l.ends[1] != c.want {
			t.Errorf("%v, window %d: ended with %v, the client saw %q", c.policy, c.window, err, l.ends[1])
		}
		await(t, "the stream's end", func() bool { st := srv.Stats(); return st.Streams == 0 && st.Held == 0 })
		if topic.Stats().Disconnected != 1 || topic.Len() != 0 {
			t.Errorf("%+v", topic.Stats())
		}
	}
}
