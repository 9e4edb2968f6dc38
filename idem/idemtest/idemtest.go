// Package idemtest tests whether an idem.Store is one:
//
//	func TestStore(t *testing.T) {
//		idemtest.TestStore(t, func(t *testing.T) idem.Store { return open(t) })
//	}
//
// What it cannot see, because it asks over the interface only: that what was
// acknowledged is there after a crash, and that an answer which got lost is
// resolved by asking again. Those are tests of each store's own.
package idemtest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"sync"
	"testing"
	"time"

	"github.com/weir-go/weir/idem"
)

// patience bounds a test: some make a thousand changes one after the other, each
// of which may wait for a disk.
const patience = 2 * time.Minute

// TestStore runs the suite. open returns a store for one test, which may be the
// same each time: every test uses names that no other does.
func TestStore(t *testing.T, open func(t *testing.T) idem.Store) {
	for _, test := range []struct {
		name string
		run  func(*room)
	}{
		{"claim", claims}, {"claim sent twice", claimsTwice}, {"other request", mismatches},
		{"done", finishes}, {"failed", fails}, {"unknown is kept", keepsUnknown},
		{"released", releases}, {"released without a fence", releasesUnseen},
		{"ended otherwise", conflicts}, {"result is any bytes", keepsBytes},
		{"takeover", takesOver}, {"takeover sent twice", takesOverTwice}, {"stuck", sticks},
		{"lease given up", givesUp}, {"lease renewed", renews}, {"steps", steps},
		{"record that has gone", heals}, {"retention", forgets}, {"retention is renewed", retains},
		{"retention for ever", retainsForEver},
		{"person", resolves}, {"person too late", resolvesTooLate},
		{"one of many gets it", races}, {"one of many takes over", racesToTakeOver},
		{"context has ended", heedsContext}, {"as the model", followsModel}, {"as if one after the other", linearizes},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			var id [16]byte
			rand.Read(id[:])
			test.run(&room{T: t, ctx: ctx, store: open(t), name: "idem::suite:" + hex.EncodeToString(id[:])})
		})
	}
}

// room is one test's store and name, with the calls every test makes.
type room struct {
	*testing.T
	ctx   context.Context
	store idem.Store
	name  string
}

// claim is one that nothing ends by itself.
func claim() idem.Claim {
	c := idem.Claim{Print: idem.Fingerprint([]byte("request")), Lease: time.Hour, Retain: 2 * time.Hour, Attempts: 3}
	rand.Read(c.Owner[:])
	return c
}

func (r *room) begin(c idem.Claim, want idem.Answer) idem.Grant {
	r.Helper()
	g, err := r.store.Begin(r.ctx, r.name, c)
	if err != nil {
		r.Fatal(err)
	}
	if g.Answer != want {
		r.Fatalf("Begin answers %d, want %d: %+v", g.Answer, want, g)
	}
	return g
}

// beginUntil claims until the answer is want: once a lease or retention is over.
// Until then it stays what it is.
func (r *room) beginUntil(c idem.Claim, want idem.Answer) idem.Grant {
	r.Helper()
	var before idem.Answer
	for r.ctx.Err() == nil {
		g, err := r.store.Begin(r.ctx, r.name, c)
		if err != nil {
			r.Fatal(err)
		}
		if g.Answer == want {
			return g
		}
		if before == 0 {
			before = g.Answer
		}
		if g.Answer != before || g.Answer == idem.New || g.Answer == idem.Takeover {
			r.Fatalf("Begin answers %d and then %d, want %d: %+v", before, g.Answer, want, g)
		}
		<-time.After(time.Millisecond)
	}
	r.Fatalf("Begin never answers %d", want)
	return idem.Grant{}
}

func (r *room) finish(h idem.Hold, f idem.Final, want idem.Verdict) {
	r.Helper()
	if f.Retain == 0 {
		f.Retain = time.Hour
	}
	f.Print = claim().Print
	v, err := r.store.Finish(r.ctx, r.name, h, f)
	r.verdict("Finish", v, err, want)
}

func (r *room) renew(h idem.Hold, n idem.Renewal, want idem.Verdict) {
	r.Helper()
	if n.Retain == 0 {
		n.Retain = time.Hour
	}
	v, err := r.store.Renew(r.ctx, r.name, h, n)
	r.verdict("Renew", v, err, want)
}

func (r *room) resolve(version uint64, f idem.Final, want idem.Verdict) {
	r.Helper()
	f.Retain = time.Hour
	v, err := r.store.Resolve(r.ctx, r.name, version, f)
	r.verdict("Resolve", v, err, want)
}

func (r *room) verdict(what string, v idem.Verdict, err error, want idem.Verdict) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
	if v != want {
		r.Fatalf("%s: %v, want %v", what, v, want)
	}
}

func (r *room) lookup() idem.Record {
	r.Helper()
	rec, err := r.store.Lookup(r.ctx, r.name)
	if err != nil {
		r.Fatal(err)
	}
	return rec
}

func (r *room) check(ok bool, what string, got any) {
	r.Helper()
	if !ok {
		r.Errorf("%s: %+v", what, got)
	}
}

// hold is what an owner shows after that grant.
func hold(c idem.Claim, g idem.Grant) idem.Hold { return idem.Hold{Owner: c.Owner, Fence: g.Fence} }

// together runs f n times at once.
func (r *room) together(n int, f func()) {
	var wg sync.WaitGroup
	for range n {
		wg.Go(f)
	}
	wg.Wait()
}
