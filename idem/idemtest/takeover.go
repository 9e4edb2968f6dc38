package idemtest

import (
	"time"

	"github.com/weir-go/weir/idem"
)

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
