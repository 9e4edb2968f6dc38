package idem

import (
	"bytes"
	"math"
	"time"
)

// Record is all that is known under a key, and the rules by which it changes.
// Its methods are the protocol without the storage: a Store that can read and
// write one record atomically (a row, in a transaction) applies them in
// between. They keep the slices they are given and return those they have.
//
// now is the Store's clock, the same for everybody who shares the Store. What a
// client's clock says plays no part.
type Record struct {
	State    State
	Owner    Owner
	Fence    uint64
	Version  uint64 // rises by one with each change of State or Owner
	Print    Print
	Attempts int  // owners since it was new or released
	Taken    bool // the present owner took over from one that died
	Until    time.Time
	Expires  time.Time // the record is forgotten then; zero: never
	Step     []byte
	StepNo   int // of the present owner's last step
	Result   []byte
}

// last is the end of what nanoseconds since 1970 can say, in 2262: what is retained
// for longer is retained until then.
var last = time.Unix(0, math.MaxInt64)

// after is when what begins now and lasts so long is over.
func after(now time.Time, d time.Duration) time.Time {
	if end := now.Add(d); end.Before(last) {
		return end
	}
	return last
}

// Forget makes r absent if its time has passed. A lease outlives retention:
// who holds one is not forgotten.
func (r *Record) Forget(now time.Time) {
	if r.State != Absent && !r.Expires.IsZero() && !now.Before(r.Expires) &&
		(r.State != Running || !now.Before(r.Until)) {
		*r = Record{}
	}
}

// Begin decides about a claim. fence is what the new owner gets if there is one,
// and raised if it does not exceed the present one. The record is to be written
// back if changed.
func (r *Record) Begin(now time.Time, fence uint64, c Claim) (g Grant, changed bool) {
	r.Forget(now)
	answer := r.judge(now, c)
	g = Grant{Answer: answer}
	switch answer {
	case New, Takeover:
		if r.State == Running && r.Owner == c.Owner {
			g.Resent = true
			r.Until = now.Add(c.Lease)
		} else {
			r.grant(now, fence, c, answer == Takeover)
		}
		changed = true
		g.Step = r.Step
	case Busy:
		g.Left = r.Until.Sub(now)
	case IsDone, IsFailed:
		g.Result = r.Result
	case IsUnknown, Stuck:
		g.Step = r.Step
	}
	g.Version, g.Fence, g.Attempt = r.Version, r.Fence, r.Attempts
	return g, changed
}

// judge changes nothing.
func (r *Record) judge(now time.Time, c Claim) Answer {
	switch {
	case r.State == Absent:
		return New
	case r.Print != c.Print:
		return Mismatch
	case r.State == Done:
		return IsDone
	case r.State == Failed:
		return IsFailed
	case r.State == Unknown:
		return IsUnknown
	case r.State == Released && r.Owner == c.Owner:
		// His claim, sent a second time and delivered after all was over.
		// Granted, it would lock the key for an owner who is not there.
		return Late
	case r.State == Released:
		return New
	case r.Owner == c.Owner && r.Taken: // his answer got lost: the same again
		return Takeover
	case r.Owner == c.Owner:
		return New
	case now.Before(r.Until):
		return Busy
	case r.Attempts >= c.Attempts:
		return Stuck
	}
	return Takeover
}

func (r *Record) grant(now time.Time, fence uint64, c Claim, taken bool) {
	r.State, r.Owner, r.Print, r.Taken = Running, c.Owner, c.Print, taken
	r.Fence = max(fence, r.Fence+1)
	r.Version++
	r.Attempts++
	r.Until = now.Add(c.Lease)
	r.Expires = after(now, c.Retain)
	r.Result, r.StepNo = nil, 0
	if !taken {
		r.Step = nil
	}
}

// holds reports whether h is the present owner's, or was the last one's.
func (r *Record) holds(h Hold) bool {
	return r.Owner == h.Owner && (h.Fence == 0 || r.Fence == h.Fence)
}

// Renew extends the lease, also one that has ended if nobody has taken over.
func (r *Record) Renew(now time.Time, h Hold, n Renewal) Verdict {
	r.Forget(now)
	switch {
	case r.State == Absent || !r.holds(h):
		return Lost
	case r.State != Running:
		return Conflict
	}
	r.Until = now.Add(n.Lease)
	r.Expires = after(now, n.Retain)
	if n.Step != nil && n.StepNo > r.StepNo {
		r.Step, r.StepNo = bytes.Clone(n.Step), n.StepNo
	}
	return OK
}

// Finish ends the owner's time. The record is to be written back when the
// verdict is OK or Healed.
func (r *Record) Finish(now time.Time, h Hold, f Final) Verdict {
	r.Forget(now)
	switch {
	case r.State == Absent && f.State == Released:
		return OK // there is nothing to let go of
	case r.State == Absent:
		*r = Record{Owner: h.Owner, Fence: h.Fence, Print: f.Print}
		r.end(now, f)
		return Healed
	case !r.holds(h):
		return Lost
	case r.State == f.State:
		return OK // said before
	case r.State != Running:
		return Conflict
	}
	r.end(now, f)
	return OK
}

// Resolve ends a record that nobody holds: one that is Unknown, or whose lease
// has ended. It must still be at the version that the decision was made on.
func (r *Record) Resolve(now time.Time, version uint64, f Final) Verdict {
	r.Forget(now)
	switch {
	case r.State == Absent:
		return Lost
	case r.State == f.State && r.Version == version+1:
		return OK // said before
	case r.Version != version:
		return Conflict
	case r.State == Running && now.Before(r.Until):
		return Conflict
	case r.State != Running && r.State != Unknown:
		return Conflict
	}
	r.end(now, f)
	return OK
}

func (r *Record) end(now time.Time, f Final) {
	r.State, r.Result = f.State, bytes.Clone(f.Result)
	r.Version++
	r.Expires = after(now, f.Retain)
	switch f.State {
	case Unknown:
		r.Expires = time.Time{}
	case Released:
		r.Attempts, r.Step, r.Taken = 0, nil, false
	}
}
