package stream

import "fmt"

// snapshots is how often a subscriber that is too slow for its snapshot gets
// another one before it gets a gap.
const snapshots = 3

// start sets the cursor of a subscription that joins: at the message it wants,
// or behind a snapshot. Loop only.
//
//	log             5 6 7 8 9
//	From = 6          ^         no snapshot, no gap
//	From = 3        ^           a gap, 3-4
//	Snapshot of 7         ^
//
// No message between the snapshot and the cursor can be missed or doubled: the
// cursor is a number, and the log is appended to on this goroutine only.
func (sub *Subscription) start(from uint64, resume bool) error {
	sub.first, sub.next = true, from
	if sub.shape.snapshot == nil || resume && from > sub.lost() {
		return nil
	}
	return sub.takeSnapshot(&sub.next)
}

// takeSnapshot takes the state and moves the cursor behind it.
func (sub *Subscription) takeSnapshot(next *uint64) error {
	x := sub.extra()
	x.taken++
	state, seq, err := sub.shape.state()
	if err != nil {
		return err
	}
	x.snapshot = state
	*next = min(seq, sub.shape.topic.Seq()) + 1
	return nil
}

// sendSnapshot pushes what is left of the snapshot, and reports whether that is
// all.
func (sub *Subscription) sendSnapshot() bool {
	x := sub.more
	if x == nil {
		return true
	}
	for len(x.snapshot) > 0 {
		m := x.snapshot[0]
		if !sub.out.push(m) {
			return false
		}
		x.snapshot = x.snapshot[1:] // the slice is the user's, who may give it to others
		m.Release()
	}
	x.snapshot = nil
	return true
}

// outdated reports whether another snapshot was taken because the log has
// forgotten what comes behind the one that was sent.
func (sub *Subscription) outdated(c *catchup) (again bool, err error) {
	if !sub.first || sub.shape.snapshot == nil || c.next > sub.lost() || sub.extra().taken >= snapshots {
		return false, nil
	}
	return true, sub.takeSnapshot(&c.next)
}

// dropSnapshot lets go of what was not sent.
func (sub *Subscription) dropSnapshot() {
	if sub.more == nil {
		return
	}
	for _, m := range sub.more.snapshot {
		m.Release()
	}
	sub.more.snapshot = nil
}

// wants, state and marker call the user's functions. A panic in one is the
// subscriber's error and not the loop's.

func (sh *shape) wants(e published) (yes bool, err error) {
	defer recovered("Filter", &err)
	return sh.filter(e.m.Bytes(), e.key), nil
}

func (sh *shape) state() (state []*Message, seq uint64, err error) {
	defer recovered("Snapshot", &err)
	state, seq = sh.snapshot()
	return state, seq, nil
}

func (sh *shape) marker(from, to uint64) (p []byte, err error) {
	defer recovered("Gap", &err)
	return sh.topic.cfg.Gap(nil, from, to), nil
}

func recovered(name string, err *error) {
	if v := recover(); v != nil {
		*err = &Status{Code: Internal, Message: fmt.Sprintf("topic: panic in %s: %v", name, v)}
	}
}
