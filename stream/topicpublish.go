package stream

import (
	"context"
	"errors"
	"time"

	"github.com/weir-go/weir/conn"
)

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
		if err == ErrFull {
			t.full.Add(1)
		}
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
			return ErrFull
		}
	}
	return nil
}

// PublishWait is PublishMessage that waits where that answers ErrFull, until ctx
// ends: then with ctx's error. Never call it on a loop, which it may wait for.
func (t *Topic) PublishWait(ctx context.Context, m *Message, key string) (seq uint64, err error) {
	for {
		if seq, err = t.PublishMessage(m, key); err != ErrFull {
			return seq, err
		}
		select {
		case <-t.room(len(m.p)):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// always is closed: there is room now.
var always = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// room returns what is closed when publishing is worth another try.
func (t *Topic) room(size int) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.admits(size) != ErrFull {
		return always
	}
	if t.roomy == nil {
		t.roomy = make(chan struct{})
	}
	return t.roomy
}

// hasRoom wakes those that wait for room. mu is held.
func (t *Topic) hasRoom() {
	if t.roomy != nil {
		close(t.roomy)
		t.roomy = nil
	}
}

// wake posts a shard's run.
func (t *Topic) wake(s *shard) { t.postOr(s.index, s.again, s.lost) }

// post runs f on a loop. A loop that is too busy for it is asked again: the
// topic has at most one run on its way to each loop, and for each subscription
// its coming and going.
// ErrClosed when the loop has ended.
func (t *Topic) post(loop int, f func()) error { return t.postOr(loop, f, nil) }

// postOr is post, and calls gone, if there is one, where the loop has ended: also if
// it was too busy before.
func (t *Topic) postOr(loop int, f, gone func()) error {
	err := t.host.Post(loop, f)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, conn.ErrBusy):
		t.postBusy.Add(1)
		time.AfterFunc(retryPost, func() { t.postOr(loop, f, gone) })
		return nil
	}
	if gone != nil {
		gone()
	}
	return ErrClosed
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
