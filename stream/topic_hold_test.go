package stream

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/weir-go/weir/conn"
)

// With Hold the log never lets go of what a subscriber still needs, however
// small it is and however many messages come at once.
func TestHoldKeepsAll(t *testing.T) {
	for _, ring := range []int{1, 2, 7, 64} {
		r := newRig(1)
		topic := newTopic(r, TopicConfig{Ring: ring, Gap: gapText})
		f := r.stream(t, r.session(0))
		a := &auditor{t: t, due: 1}
		f.quiet, f.onPush = true, a.see
		mustSubscribe(t, topic, f, SubOptions{Policy: Hold, Wait: time.Hour})
		r.settle()
		f.stall()
		refused := 0
		for topic.Seq() < 500 {
			m := NewMessage(fmt.Append(nil, topic.Seq()+1))
			if _, err := topic.PublishMessage(m, ""); errors.Is(err, ErrFull) {
				refused++
				r.settle()
				f.give(1 + refused%5)
				r.settle()
			} else if err != nil {
				t.Fatal(err)
			}
			m.Release()
			if refused%3 == 0 {
				r.settle()
			}
		}
		f.give(anyRoom)
		r.settle()
		if a.due != 501 || a.missed != 0 || f.over || refused == 0 {
			t.Errorf("ring %d: due is %d, %d missed, ended %v, refused %d times", ring, a.due, a.missed, f.status, refused)
		}
		checkLeftovers(t, r, topic)
	}
}

// Who holds the topic and leaves, lets it go on.
func TestHoldEndsWithTheHolder(t *testing.T) {
	for _, how := range []string{"cancel", "close", "time"} {
		r := newRig(1)
		topic := newTopic(r, TopicConfig{Ring: 8})
		s := r.session(0)
		holder, other := r.stream(t, s), r.stream(t, s)
		holder.stall()
		sub := mustSubscribe(t, topic, holder, SubOptions{Policy: Hold, Queue: 2, Wait: time.Second})
		mustSubscribe(t, topic, other, SubOptions{})
		r.settle()
		for range 2 {
			number(t, topic, "")
			r.settle()
		}
		for range 4 {
			number(t, topic, "")
			r.settle()
		}
		if got := other.take(); got != "1 2" {
			t.Errorf("%s: %s while the topic is held", how, got)
		}
		switch how {
		case "cancel":
			sub.Cancel()
		case "close":
			holder.close()
		default:
			r.pass(time.Second)
		}
		r.settle()
		if got := other.take(); got != "3 4 5 6" {
			t.Errorf("%s: %s afterwards", how, got)
		}
		checkLeftovers(t, r, topic)
	}
}

// PublishWait waits for room, for its context, and not longer than the topic
// lives.
func TestPublishWait(t *testing.T) {
	sp := newSpinners(1)
	defer sp.close()
	topic := newTopic(sp, TopicConfig{Ring: 8})
	s := &fakeSession{}
	rig := newRig(1)
	f := rig.stream(t, s)
	f.stall()
	if _, err := topic.subscribe(f, SubOptions{Policy: Hold, Wait: time.Hour}); err != nil {
		t.Fatal(err)
	}
	m := NewMessage([]byte("x"))
	sp.do(0, func() {})
	for full := false; !full; {
		_, err := topic.PublishMessage(m, "")
		full = errors.Is(err, ErrFull)
		sp.do(0, func() {})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := topic.PublishWait(ctx, m, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	result := make(chan error)
	wait := func() { _, err := topic.PublishWait(t.Context(), m, ""); result <- err }
	waits := func() bool { topic.mu.Lock(); defer topic.mu.Unlock(); return topic.roomy != nil }
	go wait()
	await(t, "the publisher", waits)
	sp.do(0, func() { f.give(anyRoom) })
	if err := <-result; err != nil {
		t.Errorf("with room: %v", err)
	}
	sp.do(0, func() { f.stall() })
	for err := error(nil); !errors.Is(err, ErrFull); sp.do(0, func() {}) {
		_, err = topic.PublishMessage(m, "")
	}
	go wait()
	await(t, "the publisher", waits)
	topic.Close(nil)
	if err := <-result; !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	sp.do(0, func() { f.close() })
}

// As fast as it goes, over sessions: publishers wait for the subscribers, and
// nobody misses anything, with one subscriber that never reads and must not.
func TestHoldOverSessions(t *testing.T) {
	const conns, perConn, publishers, each = 4, 25, 2, 2000
	var topic *Topic
	rt, _, addr := serveTopic(t, conn.Config{Loops: 2}, func(st *Stream) error {
		policy := Hold
		if st.Authority() == "lazy" {
			policy = DropOldest
		}
		_, err := topic.Subscribe(st, SubOptions{Policy: policy, Wait: time.Hour})
		return err
	})
	topic = NewTopic(rt, TopicConfig{})
	var wg sync.WaitGroup
	for range conns {
		l := listen(t, addr, 0)
		r := &reader{l: l, due: make([]uint64, perConn), healthy: perConn}
		for i := range perConn {
			l.open(uint32(2*i+1), "/t.T/Subscribe", nil)
			l.give(uint32(2*i+1), 1<<30)
		}
		wg.Go(func() { r.read(t, publishers*each) })
	}
	lazy := listen(t, addr, 0)
	lazy.authority = "lazy"
	lazy.open(1, "/t.T/Subscribe", nil)
	await(t, "all have subscribed", func() bool { return topic.Len() == conns*perConn+1 })
	var mu sync.Mutex // numbers are published in order
	for range publishers {
		wg.Go(func() {
			for range each {
				mu.Lock()
				m := NewMessage(binary.BigEndian.AppendUint64(make([]byte, 0, 64), topic.Seq()+1))
				_, err := topic.PublishWait(t.Context(), m, "")
				mu.Unlock()
				m.Release()
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if st := topic.Stats(); st.Delivered < conns*perConn*publishers*each || st.Dropped[Hold] != 0 || st.Disconnected != 0 {
		t.Errorf("%+v", st)
	}
	topic.Close(nil)
}

// CloseWait is for subscribers with Hold, too, whose queue was full at the end:
// that they take some of it is not enough.
func TestHoldHasCloseWait(t *testing.T) {
	r := newRig(1)
	topic := newTopic(r, TopicConfig{Ring: 8, CloseWait: 10 * time.Second})
	holder := r.stream(t, r.session(0))
	holder.stall()
	mustSubscribe(t, topic, holder, SubOptions{Policy: Hold, Queue: 2, Wait: time.Second})
	r.settle()
	for range 3 {
		number(t, topic, "")
	}
	topic.Close(nil)
	r.settle()
	holder.give(2)
	r.settle()
	if r.pass(9 * time.Second); holder.over || holder.take() != "1 2" {
		t.Errorf("ended too early: %v", holder.status)
	}
	if r.pass(time.Second); !errors.Is(holder.status, statusSlow) {
		t.Errorf("after CloseWait: ended %v with %v", holder.over, holder.status)
	}
	r.settle()
	checkLeftovers(t, r, topic)
}
