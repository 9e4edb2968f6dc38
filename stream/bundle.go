package stream

import "slices"

// bundle stands for the subscriptions of a stream that has several.
type bundle struct {
	out  subscriber
	subs []*Subscription
	turn int  // who pulls first
	left bool // somebody has left during a pull
}

// pull lets each pull, in turn: the first one finds the most room.
func (b *bundle) pull(st *Stream) {
	for again := true; again; again = b.left {
		b.left = false
		b.turn++
		for i := range b.subs {
			if b.left {
				break // the list has moved: once more, so that nobody is passed over
			}
			b.subs[(b.turn+i)%len(b.subs)].pull(st)
		}
	}
}

func (b *bundle) gone(st *Stream) {
	for _, sub := range slices.Clone(b.subs) {
		sub.gone(st)
	}
}

// hang makes the subscription known to its stream.
func (sub *Subscription) hang() error {
	switch h := sub.out.hung().(type) {
	case *bundle:
		h.subs = append(h.subs, sub)
		return nil
	case *Subscription:
		return sub.out.hang(&bundle{out: sub.out, subs: []*Subscription{h, sub}})
	}
	return sub.out.hang(sub)
}

func (sub *Subscription) unhang() {
	switch h := sub.out.hung().(type) {
	case *Subscription:
		sub.out.hang(nil)
	case *bundle:
		if i := slices.Index(h.subs, sub); i >= 0 {
			h.subs, h.left = slices.Delete(h.subs, i, i+1), true
		}
		if len(h.subs) == 0 {
			sub.out.hang(nil)
		}
	}
}
