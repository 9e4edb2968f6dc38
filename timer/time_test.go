package timer

import (
	"math"
	"testing"
	"testing/synctest"
	"time"
)

func TestNow(t *testing.T) {
	last := Now()
	if last < 1 {
		t.Fatalf("Now is %d, want at least 1", last)
	}
	for range 1000 {
		now := Now()
		if now < last {
			t.Fatalf("went back from %d to %d", last, now)
		}
		last = now
	}
}

func TestNowInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := Now()
		<-time.After(time.Hour)
		if d := Now().Sub(before); d != time.Hour {
			t.Errorf("%v passed, want an hour of the bubble's time", d)
		}
	})
}

func TestAdd(t *testing.T) {
	const far = time.Duration(math.MaxInt64)
	for _, test := range []struct {
		t    Time
		d    time.Duration
		want Time
	}{
		{5, 3, 8},
		{5, -3, 2},
		{5, 0, 5},
		{3, -5, -2},
		{1, far, Never},
		{Never - 1, 2, Never},
		{Never, -1, Never},
		{Never, 0, Never},
		{Never, far, Never},
		{math.MinInt64 + 1, -2, math.MinInt64},
	} {
		if got := test.t.Add(test.d); got != test.want {
			t.Errorf("%d.Add(%d) is %d, want %d", test.t, test.d, got, test.want)
		}
	}
}

func TestSub(t *testing.T) {
	for _, test := range []struct {
		t, u Time
		want time.Duration
	}{
		{8, 5, 3},
		{5, 8, -3},
		{5, 5, 0},
		{Never, 1, math.MaxInt64 - 1},
		{Never, -1, math.MaxInt64},
		{0, math.MinInt64, math.MaxInt64},
		{-2, Never, math.MinInt64},
		{-1, Never, math.MinInt64},
		{math.MinInt64, 1, math.MinInt64},
	} {
		if got := test.t.Sub(test.u); got != test.want {
			t.Errorf("%d.Sub(%d) is %d, want %d", test.t, test.u, got, test.want)
		}
	}
}
