package stream

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// model is one subscriber with a queue that is kept up message by message. What
// the topic does with a cursor, and later, must look the same.
type model struct {
	o     SubOptions
	tape  []item // what is not behind it yet
	room  int
	first bool // has not been up to date
	hole  bool // DropNewest: the queue was full and is not sent yet
	ended bool
	got   []string
	sent  uint64
	lost  uint64

	cursor uint64 // where the last pull has left it
}

// item is a message on its way to one subscriber.
type item struct {
	seq  uint64
	key  string
	fate fate
}

type fate uint8

const (
	pending fate = iota
	missing
	superseded
	filtered
)

// world is what all models share.
type world struct {
	ring, keys int
	head       uint64
	all        []item            // all messages there have been, as published
	newest     map[string]uint64 // Conflate: by key
	forgotten  uint64
}

// publish is a message's arrival. Who is up to date gets it at once.
func (w *world) publish(key string, subs []*model) {
	w.head++
	e := item{seq: w.head, key: key}
	w.all = append(w.all, e)
	w.newest[key] = w.head
	if len(w.newest) > w.keys {
		oldest, which := w.head, ""
		for k, seq := range w.newest {
			if seq < oldest {
				oldest, which = seq, k
			}
		}
		delete(w.newest, which)
		w.forgotten = oldest
	}
	for _, m := range subs {
		upToDate := len(m.tape) == 0
		m.add(e, w)
		m.forget(w)
		if upToDate {
			m.send()
		}
		m.judge(w)
	}
}

// join is a subscription's arrival.
func (m *model) join(w *world) {
	m.first = true
	if m.o.From > 0 {
		seen := m.o.From - 1
		if seen > w.head { // by a client of an earlier life
			seen = 0
		}
		for _, e := range w.all[seen:] {
			m.add(e, w)
		}
	}
	m.forget(w)
	m.send()
	m.first = len(m.tape) > 0
}

func (m *model) add(e item, w *world) {
	if m.o.Filter != nil && !m.o.Filter(fmt.Append(nil, e.seq), e.key) {
		e.fate = filtered
	}
	m.tape = append(m.tape, e)
	if m.first && m.o.Policy != Conflate {
		return
	}
	switch m.o.Policy {
	case DropOldest:
		m.keep(m.o.Queue)
	case Latest:
		m.keep(1)
	case DropNewest:
		if m.hole = m.hole || m.waiting() > m.o.Queue; m.hole {
			m.tape[len(m.tape)-1].fate = missing
		}
	case Conflate:
		for i := range m.tape[:len(m.tape)-1] {
			if old := &m.tape[i]; old.key == e.key && old.fate != missing {
				old.fate = superseded
			}
		}
	}
}

// waiting counts what the policy's queue holds.
func (m *model) waiting() (n int) {
	for _, e := range m.tape {
		if e.fate != missing {
			n++
		}
	}
	return n
}

func (m *model) keep(queue int) {
	for i := 0; m.waiting() > queue; i++ {
		m.tape[i].fate = missing
	}
}

// forget is what the log has forgotten.
func (m *model) forget(w *world) {
	last := w.forgotten
	switch {
	case m.o.Policy != Conflate && m.o.Policy.complete() && !m.first:
		return // judge's
	case m.o.Policy != Conflate && int(w.head) <= w.ring:
		return
	case m.o.Policy != Conflate:
		last = w.head - uint64(w.ring)
	}
	for i := range m.tape {
		if m.tape[i].seq <= last {
			m.tape[i].fate = missing
		}
	}
}

func (m *model) judge(w *world) {
	if m.ended || len(m.tape) == 0 {
		return
	}
	n := int(w.head + 1 - m.cursor)
	switch m.o.Policy {
	case Disconnect:
		m.ended = m.first && n > 2*w.ring || !m.first && n > m.o.Queue
	case Wait:
		m.ended = !m.first && n > w.ring
	}
}

// send is a pull.
func (m *model) send() {
	defer m.look()
	m.hole = m.hole && m.waiting() > 0 // the log may have lost all of the queue
	for len(m.tape) > 0 && !m.ended {
		n := 1
		switch e := m.tape[0]; e.fate {
		case missing:
			for n < len(m.tape) && m.tape[n].fate == missing {
				n++
			}
			if !m.push(string(gapText(nil, e.seq, m.tape[n-1].seq))) {
				return
			}
			m.lost += uint64(n)
		case pending:
			if !m.push(fmt.Sprint(e.seq)) {
				return
			}
			m.sent++
		}
		m.tape = m.tape[n:]
		m.hole = m.hole && m.waiting() > 0
	}
	m.first = false
}

// look notes where the cursor stands: behind the gap that is owed, if there is
// one.
func (m *model) look() {
	for _, e := range m.tape {
		if m.cursor = e.seq; e.fate != missing {
			return
		}
		m.cursor++
	}
}

func (m *model) push(s string) bool {
	if m.room == 0 {
		return false
	}
	m.room--
	m.got = append(m.got, s)
	return true
}

// pair is a subscriber and its model.
type pair struct {
	*model
	f    *fakeStream
	sub  *Subscription
	told int
}

// bed is a topic with its subscribers under random operations.
type bed struct {
	t        *testing.T
	rnd      *rand.Rand
	rig      *rig
	topic    *Topic
	sessions []*fakeSession
	world    *world
	pairs    []*pair
	log      []string
}

func TestTopicModel(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 30
	}
	for range rounds {
		seed := rand.Uint64()
		b := newBed(t, seed)
		for range 150 {
			b.step()
			if b.compare(); t.Failed() {
				t.Fatalf("seed %d\n%s", seed, strings.Join(b.log, "\n"))
			}
		}
		checkLeftovers(t, b.rig, b.topic)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func newBed(t *testing.T, seed uint64) *bed {
	b := &bed{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), rig: newRig(2)}
	b.world = &world{ring: 8 + b.rnd.IntN(24), keys: 2 + b.rnd.IntN(6), newest: map[string]uint64{}}
	b.topic = newTopic(b.rig, TopicConfig{Ring: b.world.ring, Keys: b.world.keys, Gap: gapText})
	for i := range 4 {
		b.sessions = append(b.sessions, b.rig.session(i%2))
	}
	for i := range 2 { // for Conflate's log to be there from the beginning
		b.subscribe(b.sessions[i], SubOptions{Policy: Conflate})
	}
	return b
}

func (b *bed) subscribe(s *fakeSession, o SubOptions) {
	p := &pair{model: &model{o: o}, f: b.rig.stream(b.t, s)}
	if b.rnd.IntN(4) == 0 {
		p.f.room = b.rnd.IntN(4)
	}
	p.room = p.f.room
	o.Ended = func(error) { p.told++ }
	p.sub = mustSubscribe(b.t, b.topic, p.f, o)
	b.rig.settle()
	p.join(b.world)
	p.judge(b.world)
	b.pairs = append(b.pairs, p)
	b.note("subscribe %d: %v queue %d from %d filter %v room %d", len(b.pairs)-1, o.Policy, o.Queue, o.From, o.Filter != nil, p.room)
}

func (b *bed) note(format string, args ...any) { b.log = append(b.log, fmt.Sprintf(format, args...)) }

func (b *bed) step() {
	switch i := b.rnd.IntN(len(b.pairs)); b.rnd.IntN(10) {
	case 0, 1, 2, 3:
		b.publish(1 + b.rnd.IntN(8))
	case 4, 5:
		b.note("stall %d", i)
		b.pairs[i].f.stall()
		b.pairs[i].room = 0
	case 6, 7, 8:
		n := 1 + b.rnd.IntN(1+b.rnd.IntN(40))
		b.note("give %d: %d", i, n)
		p := b.pairs[i]
		p.f.give(n)
		p.room += n
		p.send()
		p.judge(b.world)
	default:
		if b.rnd.IntN(3) == 0 && i >= 2 {
			b.leave(i)
			return
		}
		o := SubOptions{Policy: DropOldest + Policy(b.rnd.IntN(int(Wait))), Queue: 1 + b.rnd.IntN(b.world.ring), Wait: time.Hour}
		if b.rnd.IntN(3) == 0 && b.world.head > 0 {
			o.From = 1 + b.rnd.Uint64N(b.world.head+2)
		}
		if b.rnd.IntN(4) == 0 {
			o.Filter = even
		}
		b.subscribe(b.sessions[b.rnd.IntN(len(b.sessions))], o)
	}
}

func (b *bed) publish(n int) {
	var live []*model
	for _, p := range b.pairs {
		if !p.ended {
			live = append(live, p.model)
		}
	}
	for range n {
		key := string(rune('a' + b.rnd.IntN(8)))
		b.note("publish %d:%s", b.world.head+1, key)
		number(b.t, b.topic, key)
		b.world.publish(key, live)
	}
	b.rig.settle()
}

func (b *bed) leave(i int) {
	p := b.pairs[i]
	b.note("leave %d", i)
	if b.rnd.IntN(2) == 0 {
		p.sub.Cancel()
		b.rig.settle()
	} else {
		p.f.close()
	}
	p.ended = true
}

func (b *bed) compare() {
	for i, p := range b.pairs {
		if !slices.Equal(p.f.got, p.got) {
			b.t.Errorf("%d\ngot  %v\nwant %v", i, p.f.got, p.got)
		}
		if over := p.told == 1; over != p.ended || p.told > 1 {
			b.t.Errorf("%d: told %d times, ended %v", i, p.told, p.ended)
		}
		if st := p.sub.Stats(); !p.ended && len(p.tape) == 0 && (st.Sent != p.sent || st.Dropped != p.lost || st.Behind != 0) {
			b.t.Errorf("%d: stats %+v, want %d sent, %d dropped", i, st, p.sent, p.lost)
		}
	}
}
