package idemtest

import (
	"bytes"
	"context"
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

// dying is a claim whose lease ends at once if nobody renews it.
func dying() idem.Claim {
	c := claim()
	c.Lease = time.Millisecond
	return c
}

func takesOver(r *room) {
	dead := dying()
	g := r.begin(dead, idem.New)
	r.renew(hold(dead, g), idem.Renewal{Lease: time.Millisecond, Step: []byte("half way"), StepNo: 1}, idem.OK)
	c := claim()
	g2 := r.beginUntil(c, idem.Takeover)
	r.check(g2.Fence > g.Fence && g2.Version == g.Version+1 && g2.Attempt == 2 && string(g2.Step) == "half way", "takeover", g2)
	r.check(r.lookup().Taken, "record is marked as taken", r.lookup())
	// The dead one is not dead.
	r.finish(hold(dead, g), idem.Final{State: idem.Done, Result: []byte("zombie")}, idem.Lost)
	r.renew(hold(dead, g), idem.Renewal{Lease: time.Hour, Step: []byte("zombie"), StepNo: 9}, idem.Lost)
	r.begin(dead, idem.Busy)
	r.finish(hold(c, g2), idem.Final{State: idem.Done, Result: []byte("right")}, idem.OK)
	got := r.begin(claim(), idem.IsDone)
	r.check(string(got.Result) == "right", "result", got)
}

func takesOverTwice(r *room) {
	r.begin(dying(), idem.New)
	c := claim()
	first := r.beginUntil(c, idem.Takeover)
	again := r.begin(c, idem.Takeover) // its answer got lost; it must learn that the effect is unknown
	r.check(again.Resent && again.Fence == first.Fence && again.Version == first.Version && again.Attempt == 2, "again", again)
}

func sticks(r *room) {
	r.begin(dying(), idem.New)
	for n := 2; n <= 3; n++ {
		g := r.beginUntil(dying(), idem.Takeover)
		r.check(g.Attempt == n, "attempts", g)
	}
	g := r.beginUntil(claim(), idem.Stuck)
	r.check(g.Version == 3 && g.Attempt == 3, "stuck", g)
	patient := claim()
	patient.Attempts = 4
	r.begin(patient, idem.Takeover)
}

func givesUp(r *room) {
	c := claim()
	g := r.begin(c, idem.New)
	for range 2 {
		r.renew(hold(c, g), idem.Renewal{}, idem.OK)
	}
	next := claim()
	r.begin(next, idem.Takeover)
	r.renew(hold(c, g), idem.Renewal{}, idem.Lost)
	r.begin(claim(), idem.Busy)
}

func renews(r *room) {
	c := dying()
	g := r.begin(c, idem.New)
	r.renew(hold(c, g), idem.Renewal{Lease: time.Hour}, idem.OK) // even if it was over
	r.begin(claim(), idem.Busy)
	r.check(r.lookup().Version == g.Version, "a heartbeat is no change of state", r.lookup())
	r.name += "none"
	r.renew(hold(c, g), idem.Renewal{Lease: time.Hour}, idem.Lost)
	r.check(r.lookup().State == idem.Absent, "a heartbeat wrote a record", r.lookup())
}

func steps(r *room) {
	c := claim()
	g := r.begin(c, idem.New)
	h := hold(c, g)
	step := func(no int, s string, want string) {
		r.Helper()
		n := idem.Renewal{Lease: time.Hour, StepNo: no}
		if s != "" {
			n.Step = []byte(s)
		}
		r.renew(h, n, idem.OK)
		r.check(string(r.lookup().Step) == want, "step, want "+want, string(r.lookup().Step))
	}
	step(1, "one", "one")
	step(0, "", "one")
	step(2, "two", "two")
	step(1, "one", "two") // sent twice, and slow the first time
	step(0, "", "two")
	r.renew(h, idem.Renewal{}, idem.OK)
	c = claim()
	g = r.begin(c, idem.Takeover)
	h = hold(c, g)
	step(1, "first of the next", "first of the next")
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
	c := claim()
	c.Lease, c.Retain = time.Millisecond, 10*time.Millisecond
	g := r.begin(c, idem.New)
	n := idem.Renewal{Lease: time.Millisecond, Retain: time.Hour}
	v, err := r.store.Renew(r.ctx, r.name, hold(c, g), n)
	if err == nil && v == idem.Lost {
		r.Skip("the machine was slower than the retention")
	}
	r.verdict("Renew", v, err, idem.OK)
	<-time.After(20 * time.Millisecond) // past the first retention
	r.begin(claim(), idem.Takeover)
}

func resolves(r *room) {
	for _, f := range []struct {
		final  idem.Final
		answer idem.Answer
	}{
		{idem.Final{State: idem.Done, Result: []byte("person")}, idem.IsDone},
		{idem.Final{State: idem.Failed, Result: []byte("person")}, idem.IsFailed},
		{idem.Final{State: idem.Released}, idem.New},
	} {
		for _, halted := range []bool{true, false} {
			r.name += "x"
			c := claim()
			g := r.begin(c, idem.New)
			version := g.Version
			if halted {
				r.finish(hold(c, g), idem.Final{State: idem.Unknown}, idem.OK)
				version++
			} else {
				r.resolve(version, f.final, idem.Conflict) // he is at it
				r.renew(hold(c, g), idem.Renewal{}, idem.OK)
			}
			r.resolve(version+1, f.final, idem.Conflict)
			r.resolve(version, f.final, idem.OK)
			r.resolve(version, f.final, idem.OK) // the first answer got lost
			zombie := idem.Conflict
			if f.final.State == idem.Done {
				zombie = idem.OK // they agree
			}
			r.finish(hold(c, g), idem.Final{State: idem.Done, Result: []byte("zombie")}, zombie)
			got := r.begin(claim(), f.answer)
			if f.answer != idem.New {
				r.check(string(got.Result) == "person", "result", got)
			} else {
				r.check(got.Attempt == 1, "attempts begin anew", got)
			}
		}
	}
}

func resolvesTooLate(r *room) {
	r.resolve(1, idem.Final{State: idem.Done}, idem.Lost)
	c := claim()
	g := r.begin(c, idem.New)
	r.finish(hold(c, g), idem.Final{State: idem.Done, Result: []byte("done")}, idem.OK)
	r.resolve(g.Version+1, idem.Final{State: idem.Failed}, idem.Conflict)
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
