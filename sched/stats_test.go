package sched_test

import (
	"testing"
	"time"

	"github.com/weir-go/weir/sched"
)

func TestSkewIsMeasuredInTwoStages(t *testing.T) {
	k := newKit(t, sched.Config{Workers: 1})
	h := newHeld()
	for i, name := range []string{"a", "b"} {
		k.add(sched.Job{Name: name, Type: name, Trigger: sched.At(dawn.Add(time.Duration(i+1) * time.Second)), Do: h.do})
	}
	k.clock.Stall(1500 * time.Millisecond) // a is decided half a second late
	k.begins(h)
	k.clock.Advance(1500 * time.Millisecond) // b is decided at once, and begins a second later
	h.end <- nil
	k.begins(h)
	h.end <- nil
	k.settle()
	want := map[string][2]time.Duration{"a": {500 * time.Millisecond, 0}, "b": {0, time.Second}}
	for _, x := range k.Stats().Series {
		w, there := want[x.Type]
		if !there {
			continue
		}
		delete(want, x.Type)
		if got := [2]time.Duration{x.Decided.Sum, x.Began.Sum}; got != w || x.Decided.Count != 1 || x.Began.Count != 1 {
			t.Errorf("%s: %v, want %v", x.Type, got, w)
		}
		if x.Outcomes[sched.Ran] != 1 {
			t.Errorf("%+v", x)
		}
		below := uint64(0)
		for most, n := range x.Decided.Buckets {
			if (n == 1) != (most >= w[0]) || n < below {
				t.Errorf("%s: %d at most %v", x.Type, n, most)
			}
			below = n
		}
	}
	if len(want) > 0 {
		t.Errorf("not measured: %v", want)
	}
}

func TestSeriesAreBounded(t *testing.T) {
	k := newKit(t, sched.Config{Series: 2}) // one is the default's
	for _, name := range []string{"a", "b", "c"} {
		j := every(name, nothing)
		j.Type = name
		k.add(j)
	}
	k.pass(time.Second)
	got := make(map[string]uint64)
	for _, x := range k.Stats().Series {
		got[x.Type] = x.Began.Count
	}
	if len(got) != 3 || got["a"] != 1 || got["other"] != 2 {
		t.Error(got)
	}
}
