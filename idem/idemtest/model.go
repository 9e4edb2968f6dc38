package idemtest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/weir-go/weir/idem"
)

// followsModel makes random calls on a store and on an idem.Record, and
// compares. Leases and retentions are long or given up, so that time decides
// nothing.
func followsModel(r *room) {
	seed := rand.Uint64()
	r.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 20 {
		r.name += "m"
		m := &model{room: r, random: random}
		for range 3 {
			m.owners = append(m.owners, claim())
		}
		for range 40 {
			m.step()
			if r.Failed() {
				for _, line := range m.history {
					r.Log(line)
				}
				return
			}
		}
	}
}

type model struct {
	*room
	random  *rand.Rand
	record  idem.Record
	owners  []idem.Claim
	holds   []idem.Hold // every one that was ever granted
	history []string
}

func (m *model) step() {
	switch m.random.IntN(8) {
	case 0, 1, 2:
		m.claim()
	case 3, 4:
		m.change("finish", m.pick(), m.final())
	case 5, 6:
		m.renewal()
	case 7:
		m.decision()
	}
	m.compareRecords()
}

func (m *model) claim() {
	i := m.random.IntN(len(m.owners))
	if m.random.IntN(2) == 0 {
		m.owners[i] = claim()
		if m.random.IntN(8) == 0 {
			m.owners[i].Print = idem.Fingerprint([]byte("another"))
		}
	}
	got, err := m.store.Begin(m.ctx, m.name, m.owners[i])
	if err != nil {
		m.Fatal(err)
	}
	old := m.record.Fence
	want, _ := m.record.Begin(time.Now(), got.Fence, m.owners[i])
	m.note("begin by %x: %+v", m.owners[i].Owner[:4], got)
	granted := want.Answer == idem.New || want.Answer == idem.Takeover
	if granted && !want.Resent {
		m.check(got.Fence > old, "fence rises", got.Fence)
	}
	if granted {
		m.holds = append(m.holds, hold(m.owners[i], got))
	}
	m.check(got.Answer == want.Answer && got.Resent == want.Resent && got.Version == want.Version &&
		got.Fence == want.Fence && got.Attempt == want.Attempt && bytes.Equal(got.Step, want.Step) &&
		bytes.Equal(got.Result, want.Result), fmt.Sprintf("grant, want %+v", want), got)
}

// pick returns a hold: a recent one mostly, an old or a wrong one at times.
func (m *model) pick() idem.Hold {
	if len(m.holds) == 0 || m.random.IntN(10) == 0 {
		return idem.Hold{Owner: claim().Owner, Fence: 1 << 40}
	}
	h := m.holds[len(m.holds)-1]
	if m.random.IntN(3) == 0 {
		h = m.holds[m.random.IntN(len(m.holds))]
	}
	switch m.random.IntN(10) {
	case 0:
		h.Fence = 0
	case 1:
		h.Fence++
	}
	return h
}

func (m *model) final() idem.Final {
	states := []idem.State{idem.Done, idem.Failed, idem.Unknown, idem.Released, idem.Released, idem.Released}
	f := idem.Final{State: states[m.random.IntN(len(states))], Retain: time.Hour, Print: claim().Print}
	f.Result = fmt.Append(nil, m.random.IntN(100))
	return f
}

func (m *model) change(what string, h idem.Hold, f idem.Final) {
	if m.record.State == idem.Absent && h.Fence == 0 {
		h.Fence = 1 << 40 // only a release may come without
	}
	got, err := m.store.Finish(m.ctx, m.name, h, f)
	if err != nil {
		m.Fatal(err)
	}
	want := m.record.Finish(time.Now(), h, f)
	m.note("%s by %x fence %d %v: %v", what, h.Owner[:4], h.Fence, f.State, got)
	m.check(got == want, fmt.Sprintf("%s, want %v", what, want), got)
}

func (m *model) renewal() {
	h := m.pick()
	n := idem.Renewal{Lease: time.Hour, Retain: 2 * time.Hour}
	if m.random.IntN(2) == 0 {
		n.Lease = 0
	}
	if m.random.IntN(2) == 0 {
		n.StepNo = 1 + m.random.IntN(4)
		n.Step = fmt.Append(nil, "step ", n.StepNo)
	}
	got, err := m.store.Renew(m.ctx, m.name, h, n)
	if err != nil {
		m.Fatal(err)
	}
	want := m.record.Renew(time.Now(), h, n)
	m.note("renew by %x fence %d, lease %v step %q: %v", h.Owner[:4], h.Fence, n.Lease, n.Step, got)
	m.check(got == want, fmt.Sprintf("renew, want %v", want), got)
}

func (m *model) decision() {
	version := m.record.Version - uint64(m.random.IntN(2))
	f := m.final()
	if f.State == idem.Unknown {
		f.State = idem.Done
	}
	got, err := m.store.Resolve(m.ctx, m.name, version, f)
	if err != nil {
		m.Fatal(err)
	}
	want := m.record.Resolve(time.Now(), version, f)
	m.note("resolve at %d: %v", version, got)
	m.check(got == want, fmt.Sprintf("resolve, want %v", want), got)
}

func (m *model) compareRecords() {
	got, want := m.lookup(), m.record
	m.check(got.State == want.State && got.Owner == want.Owner && got.Fence == want.Fence &&
		got.Version == want.Version && got.Print == want.Print && got.Attempts == want.Attempts &&
		got.Taken == want.Taken && bytes.Equal(got.Step, want.Step) && got.StepNo == want.StepNo &&
		bytes.Equal(got.Result, want.Result) && got.Expires.IsZero() == want.Expires.IsZero(),
		fmt.Sprintf("record, want %+v", want), got)
}

func (m *model) note(format string, args ...any) {
	m.history = append(m.history, fmt.Sprintf(format, args...))
}
