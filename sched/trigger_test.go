package sched

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var t0 = time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)

// TestEveryIsAGrid: however Next is asked, an instant is start + n x period plus
// its jitter, none is left out and none comes twice.
func TestEveryIsAGrid(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 2))
	for range 300 {
		e := Every{Period: time.Duration(1 + r.Int64N(int64(time.Minute))), Seed: fmt.Sprint(r.Uint64())}
		if r.IntN(2) == 0 {
			e.Start = t0.Add(time.Duration(r.Int64N(int64(time.Hour))))
		}
		if r.IntN(2) == 0 {
			e.Jitter = time.Duration(r.Int64N(int64(e.Period) + 1))
		}
		at := t0.Add(time.Duration(r.Int64N(int64(time.Hour))))
		n := e.passed(at.UnixNano())
		for range 50 {
			next := e.Next(at)
			start := time.Unix(0, 0)
			if !e.Start.IsZero() {
				start = e.Start
			}
			off := next.Sub(start) - time.Duration(n)*e.Period
			if !next.After(at) || off < 0 || off > e.Jitter || e.Jitter == 0 && off != 0 {
				t.Fatalf("seed %d: %+v: after %v comes %v, %v from point %d", seed, e, at, next, off, n)
			}
			between := at.Add(time.Duration(r.Int64N(int64(next.Sub(at))))) // still before it
			if again := e.Next(between); !again.Equal(next) {
				t.Fatalf("seed %d: %+v: after %v comes %v, but after %v %v", seed, e, at, next, between, again)
			}
			at, n = next, n+1
		}
	}
}

// TestCountIsAWalk for everything that counts without walking.
func TestCountIsAWalk(t *testing.T) {
	list := At(t0.Add(time.Second), t0, t0.Add(time.Second), t0.Add(time.Hour))
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 3))
	for range 300 {
		period := time.Duration(1 + r.Int64N(int64(5*time.Second)))
		e := Every{Period: period, Jitter: period / 3, Seed: "a"}
		if r.IntN(2) == 0 {
			e.Start = t0.Add(10 * time.Second)
		}
		for name, trigger := range map[string]Trigger{
			"every": e, "at": list, "after": After(t0, time.Second),
			"until": Until(e, t0.Add(20*time.Second)),
			"times": Times(e, 5, t0.Add(5*time.Second)),
			"union": Union(e, list),
		} {
			from := t0.Add(time.Duration(r.Int64N(int64(30*time.Second))) - 5*time.Second)
			to := from.Add(time.Duration(r.Int64N(int64(time.Minute))) - time.Second)
			const limit = 50
			n, last, more := Count(trigger, from, to, limit)
			want := walk(trigger, from, to.Add(1), 1<<40)
			if !more && n != uint64(len(want)) || more && uint64(len(want)) <= limit {
				t.Fatalf("seed %d: %s %+v from %v to %v: %d (more: %v), want %d", seed, name, trigger, from, to, n, more, len(want))
			}
			if n > 0 && !last.Equal(want[n-1]) {
				t.Fatalf("seed %d: %s: the last is %v, want %v", seed, name, last, want[n-1])
			}
		}
	}
}

// TestCountOfAYear: an hour's sleep of a job of a nanosecond costs nothing.
func TestCountOfAYear(t *testing.T) {
	year := 365 * 24 * time.Hour
	n, last, more := Count(Every{Period: 1, Jitter: 1}, t0, t0.Add(year), 1)
	if n != uint64(year) || more || !last.Equal(t0.Add(year)) {
		t.Fatalf("%d, %v, %v", n, last, more)
	}
	c, err := Cron("* * * * * *", nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, last, more = Count(c, t0, t0.Add(year), 7); n != 7 || !more || !last.Equal(t0.Add(7*time.Second)) {
		t.Fatalf("%d, %v, %v", n, last, more)
	}
}

func TestEveryAtTheEndOfTime(t *testing.T) {
	far := time.Unix(0, math.MaxInt64)
	for _, e := range []Every{{Period: time.Hour}, {Period: math.MaxInt64, Jitter: math.MaxInt64}, {Period: 1, Jitter: 1},
		{Period: time.Hour, Start: earliest}, {Period: math.MaxInt64, Start: earliest, Jitter: 9}} {
		if next := e.Next(far); !next.IsZero() {
			t.Errorf("%+v: %v after the end", e, next)
		}
		if next := e.Next(far.Add(time.Hour)); !next.IsZero() {
			t.Errorf("%+v: %v after the end", e, next)
		}
		first := e.Next(time.Time{})
		if start := time.Unix(0, e.start()); first.Before(start) || first.Sub(start) > e.Jitter {
			t.Errorf("%+v begins at %v", e, first)
		}
	}
}

func TestCombinations(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	hourly := Every{Period: time.Hour}
	night, err := Cron("0 3 * * *", nil)
	if err != nil {
		t.Fatal(err)
	}
	business := Window{Days: Weekdays(), From: 9 * time.Hour, To: 17 * time.Hour, Zone: berlin}
	late := Window{From: 22 * time.Hour, To: 4 * time.Hour}
	closed := business
	closed.Closed = func(_ int, month time.Month, day int) bool { return month == time.March && day < 30 }
	const layout = "Mon 02 15"
	for _, test := range []struct {
		what    string
		trigger Trigger
		want    []string // the first after t0, a Sunday at 3, in UTC
	}{
		{"until", Until(hourly, t0.Add(3*time.Hour)), []string{"Sun 01 04", "Sun 01 05"}},
		{"times", Times(hourly, 2, t0.Add(2*time.Hour)), []string{"Sun 01 06", "Sun 01 07"}},
		{"times of what ends before", Times(Until(hourly, t0.Add(2*time.Hour)), 5, t0), []string{"Sun 01 04"}},
		{"union", Union(Every{Period: 2 * time.Hour}, Every{Period: 3 * time.Hour}, At(t0)),
			[]string{"Sun 01 04", "Sun 01 06", "Sun 01 08", "Sun 01 09"}},
		{"business hours", Within(Every{Period: 4 * time.Hour}, business),
			[]string{"Mon 02 08", "Mon 02 12", "Tue 03 08", "Tue 03 12"}},
		{"in summer time", Within(At(time.Date(2026, 3, 30, 7, 0, 0, 0, time.UTC), time.Date(2026, 3, 30, 15, 0, 0, 0, time.UTC)), business),
			[]string{"Mon 30 07"}},
		{"a closed month", Within(Every{Period: 4 * time.Hour}, closed), []string{"Mon 30 08", "Mon 30 12"}},
		{"over midnight", Within(Every{Period: 2 * time.Hour}, late),
			[]string{"Sun 01 22", "Mon 02 00", "Mon 02 02", "Mon 02 22"}},
		{"either window", Within(Every{Period: 6 * time.Hour}, business, late),
			[]string{"Mon 02 00", "Mon 02 12", "Tue 03 00", "Tue 03 12"}},
		{"a whole day", Within(Every{Period: 12 * time.Hour}, Window{Days: []time.Weekday{time.Tuesday}}),
			[]string{"Tue 03 00", "Tue 03 12", "Tue 10 00"}},
		{"never", Within(night, business), nil},
		{"never open", Within(hourly, Window{Closed: func(int, time.Month, int) bool { return true }}), nil},
	} {
		var got []string
		for _, at := range walk(test.trigger, t0, t0.AddDate(1, 0, 0), max(1, len(test.want))) {
			got = append(got, at.UTC().Format(layout))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", test.what, got, test.want)
		}
		if err := Check(test.trigger); err != nil {
			t.Errorf("%s: %v", test.what, err)
		}
	}
	if got := walk(Times(hourly, 2, t0), t0.Add(-time.Hour), t0.AddDate(1, 0, 0), 9); len(got) != 2 {
		t.Errorf("two times are %v", got)
	}
}

// TestWindowInAGap: what the clock does not show on that day is where it goes on.
func TestWindowInAGap(t *testing.T) {
	for _, test := range []struct {
		zone     string
		window   Window
		after    string // there
		from, to string // the first and the last minute of the next window
	}{
		{"America/Sao_Paulo", Window{Days: []time.Weekday{time.Sunday}}, "2018-11-03 12:00", "11-04 01:00 -02:00", "11-04 23:59 -02:00"},
		{"Europe/Berlin", Window{From: 150 * time.Minute, To: 4 * time.Hour}, "2026-03-28 12:00", "03-29 03:00 +02:00", "03-29 03:59 +02:00"},
		{"Europe/Berlin", Window{From: 22 * time.Hour, To: 150 * time.Minute}, "2026-03-28 12:00", "03-28 22:00 +01:00", "03-29 01:59 +01:00"},
		{"Australia/Lord_Howe", Window{From: 135 * time.Minute, To: 3 * time.Hour}, "2026-10-03 12:00", "10-04 02:30 +11:00", "10-04 02:59 +11:00"},
		{"Antarctica/Troll", Window{From: 2 * time.Hour, To: 4 * time.Hour}, "2026-03-28 12:00", "03-29 03:00 +02:00", "03-29 03:59 +02:00"},
	} {
		z := zone(t, test.zone)
		test.window.Zone = z
		after, err := time.ParseInLocation("2006-01-02 15:04", test.after, z)
		if err != nil {
			t.Fatal(err)
		}
		minutes := walk(Within(Every{Period: time.Minute}, test.window), after, after.Add(72*time.Hour), 1<<20)
		last := 0
		for last+1 < len(minutes) && minutes[last+1].Sub(minutes[last]) == time.Minute {
			last++
		}
		const layout = "01-02 15:04 -07:00"
		if from, to := minutes[0].In(z).Format(layout), minutes[last].In(z).Format(layout); from != test.from || to != test.to {
			t.Errorf("%s, %v to %v: %s to %s, want %s to %s", test.zone, test.window.From, test.window.To, from, to, test.from, test.to)
		}
	}
}

// TestUntilLeavesItsEndOut, for who walks and for who counts.
func TestUntilLeavesItsEndOut(t *testing.T) {
	u := Until(Every{Period: time.Hour}, t0.Add(3*time.Hour))
	if got := walk(u, t0, t0.AddDate(1, 0, 0), 9); len(got) != 2 {
		t.Errorf("%v", got)
	}
	if n, last, _ := Count(u, t0, t0.AddDate(1, 0, 0), 9); n != 2 || !last.Equal(t0.Add(2*time.Hour)) {
		t.Errorf("%d, the last %v", n, last)
	}
}

// TestJitterSpreads: instants of one job and of two are put off by different
// times, from nothing to all of it.
func TestJitterSpreads(t *testing.T) {
	seen, sum := map[time.Duration]bool{}, time.Duration(0)
	for _, seed := range []string{"a", "b"} {
		e := Every{Period: time.Minute, Jitter: 40 * time.Second, Seed: seed}
		for n := range uint64(1000) {
			off := time.Duration(e.jitter(n))
			seen[off] = true
			sum += off
		}
	}
	if mean := sum / 2000; len(seen) != 2000 || mean < 19*time.Second || mean > 21*time.Second {
		t.Errorf("%d different ones, %v on average", len(seen), mean)
	}
}

func TestWhatIsSteady(t *testing.T) {
	c, err := Cron("@hourly", nil)
	if err != nil {
		t.Fatal(err)
	}
	e := Every{Period: time.Hour}
	for _, test := range []struct {
		trigger Trigger
		want    bool
	}{
		{e, true}, {After(t0, 1), true}, {At(t0), false}, {c, false}, {Until(e, t0), true}, {Until(c, t0), false},
		{Times(e, 1, t0), true}, {Within(e, Window{}), true}, {Union(e, e), true}, {Union(e, c), false},
	} {
		if steady(test.trigger) != test.want {
			t.Errorf("%T %v", test.trigger, test.trigger)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	e := Every{Period: time.Hour}
	for _, trigger := range []Trigger{
		nil, Every{}, Every{Period: -1}, Every{Period: 1, Jitter: 2}, Every{Period: 1, Jitter: -1},
		Every{Period: 1, Start: t0.AddDate(1000, 0, 0)},
		At(), At(time.Time{}), Until(Every{}, t0), Until(nil, t0), Times(nil, 1, t0), Times(e, 0, t0), Times(e, mostTimes+1, t0),
		Union(), Union(e, Every{}), Within(e), Within(Every{}, Window{}), Within(e, Window{From: -1}),
		Within(e, Window{To: 25 * time.Hour}), Within(e, Window{From: 24 * time.Hour}), Within(e, Window{Days: []time.Weekday{7}}),
	} {
		if err := Check(trigger); !errors.Is(err, ErrTrigger) {
			t.Errorf("%T %+v: %v", trigger, trigger, err)
		}
	}
	if next := (Every{}).Next(t0); !next.IsZero() {
		t.Errorf("no period, and next is %v", next)
	}
}

// FuzzEvery: no field overflows anything.
func FuzzEvery(f *testing.F) {
	f.Add(int64(0), int64(time.Second), int64(0), int64(5), int64(100))
	f.Add(int64(math.MinInt64+1), int64(math.MaxInt64), int64(math.MaxInt64), int64(math.MinInt64), int64(math.MaxInt64))
	f.Add(int64(math.MaxInt64), int64(1), int64(1), int64(math.MaxInt64-1), int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, start, period, jitter, a, b int64) {
		e := Every{Start: time.Unix(0, start), Period: time.Duration(period), Jitter: time.Duration(jitter)}
		if e.Check() != nil {
			return
		}
		early, late := time.Unix(0, min(a, b)), time.Unix(0, max(a, b))
		x, y := e.Next(early), e.Next(late)
		if !x.IsZero() && (!x.After(early) || x.Before(e.Start)) || !y.IsZero() && (x.IsZero() || x.After(y) || !y.After(late)) {
			t.Fatalf("%+v: %v -> %v, %v -> %v", e, early, x, late, y)
		}
		n, last := e.Count(early, late)
		switch {
		case (n == 0) != last.IsZero(), n > 0 && (last.After(late) || !last.After(early)):
			t.Fatalf("%+v from %v to %v: %d, %v", e, early, late, n, last)
		case n > 0 && n < 1000:
			if got := walk(e, early, last.Add(1), 1001); uint64(len(got)) != n {
				t.Fatalf("%+v from %v to %v: %d, walked %d", e, early, late, n, len(got))
			}
		}
	})
}
