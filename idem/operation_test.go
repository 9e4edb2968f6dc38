package idem_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/weir-go/weir/idem"
)

type payment struct{ Cents int }
type receipt struct{ Number int }

func TestOperation(t *testing.T) {
	runs := 0
	o := idem.Operation[payment, receipt]{
		Client: &idem.Client{Store: new(idem.Memory)}, Space: "shop", Name: "charge", Policy: redo,
		Run: func(_ context.Context, _ *idem.Attempt, p payment) (receipt, error) {
			runs++
			if p.Cents < 0 {
				return receipt{}, &idem.Failure{Reason: "negative"}
			}
			return receipt{p.Cents * 2}, nil
		},
	}
	for i := range 2 {
		got, reply, err := o.Do(bg, "1", payment{21})
		check(t, err == nil && got.Number == 42 && reply.Replayed == (i == 1), "receipt", got)
		_, _, err = o.Do(bg, "2", payment{-1})
		var f *idem.Failure
		check(t, errors.As(err, &f) && f.Replayed == (i == 1), "failure", err)
	}
	_, _, err := o.Do(bg, "1", payment{22})
	check(t, errors.Is(err, idem.ErrMismatch) && runs == 2, "another request", err)
}

// TestUnencodable: the effect took place and there is no result to keep.
func TestUnencodable(t *testing.T) {
	o := idem.Operation[int, func()]{
		Client: &idem.Client{Store: new(idem.Memory)}, Name: "charge", Policy: redo,
		Run: func(context.Context, *idem.Attempt, int) (func(), error) { return nil, nil },
	}
	_, _, err := o.Do(bg, "1", 1)
	check(t, errors.Is(err, idem.ErrUnknown), "error", err)
}

func ExampleClient_Do() {
	c := &idem.Client{Store: new(idem.Memory)}
	key := idem.Key{Space: "shop", Operation: "charge", ID: "order 4711"}
	p := idem.Policy{Unknown: idem.Halt()}
	for range 2 {
		r, err := c.Do(context.Background(), key, []byte("10 EUR"), p,
			func(ctx context.Context, a *idem.Attempt) ([]byte, error) {
				fmt.Println("charging")
				return []byte("receipt 17"), nil
			})
		fmt.Printf("%s, replayed %v, %v\n", r.Result, r.Replayed, err)
	}
	_, err := c.Do(context.Background(), key, []byte("99 EUR"), p, nil)
	fmt.Println(errors.Is(err, idem.ErrMismatch))
	// Output:
	// charging
	// receipt 17, replayed false, <nil>
	// receipt 17, replayed true, <nil>
	// true
}

func ExampleOperation() {
	type order struct{ Item string }
	type parcel struct{ Tracking string }
	ship := idem.Operation[order, parcel]{
		Client: &idem.Client{Store: new(idem.Memory)},
		Name:   "ship",
		Policy: idem.Policy{Unknown: idem.Redo(), Lease: time.Minute},
		Run: func(_ context.Context, a *idem.Attempt, o order) (parcel, error) {
			return parcel{fmt.Sprintf("%s-%d", o.Item, a.Number)}, nil
		},
	}
	p, reply, err := ship.Do(context.Background(), "order 4711", order{"lamp"})
	fmt.Println(p.Tracking, reply.Replayed, err)
	p, reply, err = ship.Do(context.Background(), "order 4711", order{"lamp"})
	fmt.Println(p.Tracking, reply.Replayed, err)
	// Output:
	// lamp-1 false <nil>
	// lamp-1 true <nil>
}

// TestKeyNames: different keys have different names, the same always the same.
func TestKeyNames(t *testing.T) {
	seen := map[string]idem.Key{}
	for _, k := range []idem.Key{
		{Space: "a", Operation: "b", ID: "c"}, {Space: "a", Operation: "bc", ID: "c"}, {Operation: "b", ID: "c"},
		{Space: "ab", Operation: "b", ID: "c"}, {Space: "a", Operation: "b", ID: "C"}, {Space: "b", Operation: "a", ID: "c"},
	} {
		name, err := k.Name()
		again, _ := k.Name()
		if other, twice := seen[name]; err != nil || twice || name != again {
			t.Errorf("%v and %v: %q, %v", k, other, name, err)
		}
		seen[name] = k
	}
	check(t, idem.Fingerprint([]byte("ab"), nil) != idem.Fingerprint([]byte("a"), []byte("b")), "parts run together", nil)
}

// FuzzRecord: what was written is read back, and nothing else is accepted.
func FuzzRecord(f *testing.F) {
	r := idem.Record{State: idem.Done, Owner: idem.Owner{1, 2}, Fence: 3, Version: 4, Attempts: 5, Taken: true,
		Print: idem.Fingerprint(nil), Expires: time.Unix(1, 2), Step: []byte("step"), StepNo: 6, Result: []byte("result")}
	b, _ := r.AppendBinary(nil)
	f.Add(b)
	f.Add(b[:len(b)-1])
	b, _ = (&idem.Record{State: idem.Unknown}).AppendBinary(nil)
	f.Add(b)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		before := idem.Record{Fence: 9}
		got := before
		if err := got.UnmarshalBinary(b); err != nil {
			if !reflect.DeepEqual(got, before) {
				t.Fatal("changed by what could not be read")
			}
			return
		}
		again, err := got.AppendBinary(nil)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x came back as %x, %v", b, again, err)
		}
	})
}

func TestRecordRoundTrip(t *testing.T) {
	want := idem.Record{State: idem.Running, Owner: idem.Owner{1, 2}, Fence: 1<<63 + 1, Version: 4, Attempts: 5, Taken: true,
		Print: idem.Fingerprint(nil), Expires: time.Unix(1, 2), Step: []byte("step"), StepNo: 6, Result: []byte("result")}
	b, err := want.AppendBinary([]byte("prefix"))
	if err != nil {
		t.Fatal(err)
	}
	var got idem.Record
	if err := got.UnmarshalBinary(b[len("prefix"):]); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v, %v", got, err)
	}
}
