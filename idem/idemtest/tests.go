package idemtest

import (
	"bytes"
	"context"
	"math"
	"sync"
	"time"

	"github.com/weir-go/weir/idem"
)

func claims(r *room) {
	r.check(r.lookup().State == idem.Absent, "before", r.lookup())
	c := claim()
	g := r.begin(c, idem.New)
	r.check(g.Version == 1 && g.Fence > 0 && g.Attempt == 1 && !g.Resent && len(g.Step) == 0, "grant", g)
	rec := r.lookup()
	r.check(rec.State == idem.Running && rec.Owner == c.Owner && rec.Fence == g.Fence && rec.Version == 1 &&
		rec.Print == c.Print && rec.Attempts == 1 && !rec.Taken, "record", rec)
	other := r.begin(claim(), idem.Busy)
	r.check(other.Left > 0 && other.Left <= time.Hour, "left of a lease of an hour", other.Left)
	r.check(other.Version == 1 && other.Fence == g.Fence, "busy", other)
}

func claimsTwice(r *room) {
	c := claim()
	first := r.begin(c, idem.New)
	again := r.begin(c, idem.New)
	r.check(again.Resent && again.Fence == first.Fence && again.Version == first.Version && again.Attempt == 1, "again", again)
	r.finish(hold(c, first), idem.Final{State: idem.Done}, idem.OK)
	r.begin(c, idem.IsDone) // one more that was on its way
}

func mismatches(r *room) {
	c, other := claim(), claim()
	other.Print = idem.Fingerprint([]byte("another"))
	g := r.begin(c, idem.New)
	r.begin(other, idem.Mismatch)
	r.finish(hold(c, g), idem.Final{State: idem.Released}, idem.OK)
	r.begin(other, idem.Mismatch)
	g = r.begin(claim(), idem.New)
	r.finish(hold(idem.Claim{Owner: r.lookup().Owner}, g), idem.Final{State: idem.Done, Result: []byte("secret")}, idem.OK)
	got := r.begin(other, idem.Mismatch)
	r.check(len(got.Result) == 0, "the result of another request", got)
}

func finishes(r *room) { ends(r, idem.Done, idem.IsDone) }
func fails(r *room)    { ends(r, idem.Failed, idem.IsFailed) }

func ends(r *room, s idem.State, a idem.Answer) {
	c := claim()
	g := r.begin(c, idem.New)
	f := idem.Final{State: s, Result: []byte("result")}
	r.finish(hold(c, g), f, idem.OK)
	r.finish(hold(c, g), f, idem.OK) // the first answer got lost
	for range 2 {
		got := r.begin(claim(), a)
		r.check(string(got.Result) == "result" && got.Version == 2 && got.Fence == g.Fence, "replay", got)
	}
	r.renew(hold(c, g), idem.Renewal{Lease: time.Hour}, idem.Conflict) // a heartbeat that was slow
	r.begin(claim(), a)
}

func keepsUnknown(r *room) {
	c := claim()
	g := r.begin(c, idem.New)
	r.renew(hold(c, g), idem.Renewal{Lease: time.Hour, Step: []byte("half way"), StepNo: 1}, idem.OK)
	for range 2 {
		r.finish(hold(c, g), idem.Final{State: idem.Unknown, Retain: time.Millisecond}, idem.OK)
	}
	got := r.begin(claim(), idem.IsUnknown)
	r.check(string(got.Step) == "half way", "step", got)
	rec := r.lookup()
	r.check(rec.State == idem.Unknown && rec.Expires.IsZero(), "is kept for good", rec)
}

func releases(r *room) {
	c := claim()
	g := r.begin(c, idem.New)
	r.renew(hold(c, g), idem.Renewal{Lease: time.Hour, Step: []byte("nothing happened"), StepNo: 1}, idem.OK)
	for range 2 {
		r.finish(hold(c, g), idem.Final{State: idem.Released}, idem.OK)
	}
	r.begin(c, idem.Late) // his claim, delivered a second time: he has gone
	c2 := claim()
	g2 := r.begin(c2, idem.New)
	r.check(g2.Fence > g.Fence && g2.Version > g.Version && g2.Attempt == 1 && len(g2.Step) == 0, "after a release", g2)
	r.finish(hold(c, g), idem.Final{State: idem.Released}, idem.Lost)
	r.finish(hold(c2, g2), idem.Final{State: idem.Done}, idem.OK)
}

func releasesUnseen(r *room) {
	c := claim()
	r.finish(idem.Hold{Owner: c.Owner}, idem.Final{State: idem.Released}, idem.OK)
	r.check(r.lookup().State == idem.Absent, "a release wrote a record", r.lookup())
	r.begin(c, idem.New)
	r.finish(idem.Hold{Owner: claim().Owner}, idem.Final{State: idem.Released}, idem.Lost)
	r.finish(idem.Hold{Owner: c.Owner}, idem.Final{State: idem.Released}, idem.OK)
	r.begin(claim(), idem.New)
}

func conflicts(r *room) {
	c := claim()
	g := r.begin(c, idem.New)
	wrong := hold(c, g)
	wrong.Fence += 7
	r.finish(wrong, idem.Final{State: idem.Done}, idem.Lost)
	r.finish(hold(claim(), g), idem.Final{State: idem.Done}, idem.Lost)
	r.renew(wrong, idem.Renewal{Lease: time.Hour}, idem.Lost)
	r.finish(hold(c, g), idem.Final{State: idem.Done, Result: []byte("first")}, idem.OK)
	r.finish(hold(c, g), idem.Final{State: idem.Failed, Result: []byte("second")}, idem.Conflict)
	r.finish(hold(c, g), idem.Final{State: idem.Released}, idem.Conflict)
	got := r.begin(claim(), idem.IsDone)
	r.check(string(got.Result) == "first", "result", got)
}

func keepsBytes(r *room) {
	all := make([]byte, 64<<10)
	for i := range all {
		all[i] = byte(i * 7)
	}
	for _, result := range [][]byte{all, {0}, {}, []byte("\r\n$-1\r\n"), {0xff, 0xfe}} {
		r.name += "x"
		c := claim()
		g := r.begin(c, idem.New)
		r.renew(hold(c, g), idem.Renewal{Lease: time.Hour, Step: result, StepNo: 1}, idem.OK)
		again := r.begin(c, idem.New)
		r.check(bytes.Equal(again.Step, result), "step", len(again.Step))
		r.finish(hold(c, g), idem.Final{State: idem.Done, Result: result}, idem.OK)
		got := r.begin(claim(), idem.IsDone)
		r.check(bytes.Equal(got.Result, result), "result", len(got.Result))
	}
}

func heals(r *room) {
	c := claim()
	h := idem.Hold{Owner: c.Owner, Fence: 1 << 40}
	r.finish(h, idem.Final{State: idem.Done, Result: []byte("was there")}, idem.Healed)
	r.finish(h, idem.Final{State: idem.Done, Result: []byte("was there")}, idem.OK)
	got := r.begin(claim(), idem.IsDone)
	r.check(string(got.Result) == "was there" && got.Fence == h.Fence, "healed", got)

	// The fence it came with may be above all that this store has given.
	r.name += "x"
	r.finish(h, idem.Final{State: idem.Unknown}, idem.Healed)
	r.resolve(1, idem.Final{State: idem.Released}, idem.OK)
	c = claim()
	g := r.begin(c, idem.New)
	r.check(g.Fence > h.Fence, "fence after one from elsewhere", g.Fence)
	r.finish(hold(c, g), idem.Final{State: idem.Done, Retain: time.Millisecond}, idem.OK)
	g2 := r.beginUntil(claim(), idem.New)
	r.check(g2.Fence > g.Fence, "fence after that was forgotten", g2.Fence)
}

func forgets(r *room) {
	c := claim()
	g := r.begin(c, idem.New)
	r.finish(hold(c, g), idem.Final{State: idem.Done, Retain: 5 * time.Millisecond}, idem.OK)
	g2 := r.beginUntil(claim(), idem.New)
	r.check(g2.Fence > g.Fence, "fence after the record was forgotten", g2.Fence)
}

func retains(r *room) {
	for retain := 10 * time.Millisecond; r.ctx.Err() == nil; retain *= 4 {
		r.name += "x"
		c := claim()
		c.Lease, c.Retain = time.Millisecond, retain
		g := r.begin(c, idem.New)
		n := idem.Renewal{Lease: time.Millisecond, Retain: time.Hour}
		v, err := r.store.Renew(r.ctx, r.name, hold(c, g), n)
		if err == nil && v == idem.Lost {
			continue // slower than the retention
		}
		r.verdict("Renew", v, err, idem.OK)
		<-time.After(2 * retain) // past the first retention
		r.begin(claim(), idem.Takeover)
		return
	}
	r.Fatal("every retention was over when it was to be renewed")
}

// retainsForEver: the longest duration is more than what clocks reach, and the caller
// means "always".
func retainsForEver(r *room) {
	kept := func(what string) {
		r.Helper()
		rec := r.lookup()
		r.check(rec.Expires.IsZero() || time.Until(rec.Expires) > 100*365*24*time.Hour, what, rec)
	}
	c := claim()
	c.Retain = math.MaxInt64
	g := r.begin(c, idem.New)
	kept("begun")
	r.renew(hold(c, g), idem.Renewal{Lease: time.Hour, Retain: math.MaxInt64, Step: []byte("half"), StepNo: 1}, idem.OK)
	kept("renewed")
	r.begin(claim(), idem.Busy)
	r.finish(hold(c, g), idem.Final{State: idem.Done, Retain: math.MaxInt64}, idem.OK)
	kept("done")
	r.begin(claim(), idem.IsDone)
}

// races: of many that claim at once one is granted, each time.
func races(r *room) {
	for range 20 {
		r.name += "x"
		r.check(granted(r, idem.New) == 1, "granted to many", r.name)
	}
}

func racesToTakeOver(r *room) {
	for range 20 {
		r.name += "x"
		c := claim()
		g := r.begin(c, idem.New)
		r.renew(hold(c, g), idem.Renewal{}, idem.OK)
		r.check(granted(r, idem.Takeover) == 1, "taken over by many", r.name)
	}
}

func granted(r *room, want idem.Answer) int {
	var mu sync.Mutex
	n := 0
	r.together(8, func() {
		g, err := r.store.Begin(r.ctx, r.name, claim())
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err != nil:
			r.Error(err)
		case g.Answer == want:
			n++
		case g.Answer != idem.Busy:
			r.Errorf("answer %d", g.Answer)
		}
	})
	return n
}

func heedsContext(r *room) {
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	if _, err := r.store.Begin(ctx, r.name, claim()); err == nil {
		r.Error("Begin with a context that has ended succeeded")
	}
	if _, err := r.store.Lookup(ctx, r.name); err == nil {
		r.Error("Lookup with a context that has ended succeeded")
	}
}
