package sched

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Skip(err)
	}
	return z
}

// walk returns the instants after from, up to n or until end.
func walk(t Trigger, from, end time.Time, n int) (all []time.Time) {
	for next := t.Next(from); len(all) < n && !next.IsZero() && next.Before(end); next = t.Next(next) {
		all = append(all, next)
	}
	return all
}

func TestCronOnDaysThatClocksAreSet(t *testing.T) {
	const layout = "01-02 15:04 Z07:00"
	for _, test := range []struct {
		what, zone, day, spec string
		want                  string // from midnight on that day, for six hours
	}{
		{"in the gap", "America/New_York", "2026-03-08", "30 2 * * *", "03-08 03:00 -04:00"},
		{"several in the gap are one", "America/New_York", "2026-03-08", "0,15,30 2 * * *", "03-08 03:00 -04:00"},
		{"in the gap, and right after it", "America/New_York", "2026-03-08", "30 2,3 * * *",
			"03-08 03:00 -04:00, 03-08 03:30 -04:00"},
		{"after the gap only", "America/New_York", "2026-03-08", "0 3 * * *", "03-08 03:00 -04:00"},
		{"each hour, over the gap", "America/New_York", "2026-03-08", "0 * * * *",
			"03-08 01:00 -05:00, 03-08 03:00 -04:00, 03-08 04:00 -04:00, 03-08 05:00 -04:00, 03-08 06:00 -04:00"},
		{"each minute of a hour that is not", "America/New_York", "2026-03-08", "* 2 * * *", ""},
		{"on a weekday that it is", "America/New_York", "2026-03-08", "30 2 * * sun", "03-08 03:00 -04:00"},
		{"on a weekday that it is not", "America/New_York", "2026-03-08", "30 2 * * mon", ""},
		{"twice", "America/New_York", "2026-11-01", "30 1 * * *", "11-01 01:30 -04:00"},
		{"twice, and the hour after", "America/New_York", "2026-11-01", "30 1,2 * * *",
			"11-01 01:30 -04:00, 11-01 02:30 -05:00"},
		{"each hour, twice", "America/New_York", "2026-11-01", "0 */1 * * *",
			"11-01 01:00 -04:00, 11-01 01:00 -05:00, 11-01 02:00 -05:00, 11-01 03:00 -05:00, 11-01 04:00 -05:00"},
		{"each second hour, by a star", "Europe/Berlin", "2026-10-25", "0 */2 * * *",
			"10-25 02:00 +02:00, 10-25 02:00 +01:00, 10-25 04:00 +01:00"},
		{"all hours by name are each hour", "Europe/Berlin", "2026-10-25", "30 0-23 * * *",
			"10-25 00:30 +02:00, 10-25 01:30 +02:00, 10-25 02:30 +02:00, 10-25 02:30 +01:00, 10-25 03:30 +01:00, " +
				"10-25 04:30 +01:00"},
		{"a gap of half an hour", "Australia/Lord_Howe", "2026-10-04", "15 2 * * *", "10-04 02:30 +11:00"},
		{"half an hour twice", "Australia/Lord_Howe", "2026-04-05", "45 1 * * *", "04-05 01:45 +11:00"},
		{"half an hour twice, by a star", "Australia/Lord_Howe", "2026-04-05", "45 1-1 * * *", "04-05 01:45 +11:00"},
		{"each quarter, half an hour twice", "Australia/Lord_Howe", "2026-04-05", "*/15 1 * * *",
			"04-05 01:00 +11:00, 04-05 01:15 +11:00, 04-05 01:30 +11:00, 04-05 01:45 +11:00, 04-05 01:30 +10:30, 04-05 01:45 +10:30"},
		{"seconds in the gap", "Europe/Berlin", "2026-03-29", "7 30 2 * * *", "03-29 03:00 +02:00"},
		{"no summer time", "Asia/Kathmandu", "2026-03-29", "30 2 * * *", "03-29 02:30 +05:45"},
		{"back for Ramadan", "Africa/Casablanca", "2026-02-15", "30 2 * * *", "02-15 02:30 +01:00"},
		{"the end of a leap year, south", "Australia/Lord_Howe", "2041-01-01", "30 3 * * *", "01-01 03:30 +11:00"},
	} {
		t.Run(test.what, func(t *testing.T) {
			z := zone(t, test.zone)
			c, err := Cron(test.spec, z)
			if err != nil {
				t.Fatal(err)
			}
			from, err := time.ParseInLocation(time.DateOnly, test.day, z)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, at := range walk(c, from, from.Add(6*time.Hour), 1000) {
				got = append(got, at.Format(layout))
			}
			want := []string{}
			if test.want != "" {
				want = strings.Split(test.want, ", ")
			}
			if !slices.Equal(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
		})
	}
}

// TestCronAcrossTheDateLine: a day that is left out is not made up for, and one
// that comes twice is two.
func TestCronAcrossTheDateLine(t *testing.T) {
	for _, test := range []struct {
		zone string
		from time.Time
		want string
	}{
		{"Pacific/Apia", time.Date(2011, 12, 29, 0, 0, 0, 0, time.UTC), "29 02:30 -10:00, 31 02:30 +14:00, 01 02:30 +14:00"},
		{"Pacific/Kwajalein", time.Date(1969, 9, 29, 12, 0, 0, 0, time.UTC), "30 02:30 +11:00, 30 02:30 -12:00, 01 02:30 -12:00"},
	} {
		c, err := Cron("30 2 * * *", zone(t, test.zone))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, at := range walk(c, test.from, test.from.AddDate(0, 0, 9), 3) {
			got = append(got, at.Format("02 15:04 Z07:00"))
		}
		if strings.Join(got, ", ") != test.want {
			t.Errorf("%s: %v, want %v", test.zone, got, test.want)
		}
	}
}

func TestCronRefuses(t *testing.T) {
	for _, spec := range []string{
		"", " ", "TZ=UTC", "TZ=", "TZ=0", "CRON_TZ=", "TZ=Nowhere/Land * * * * *", "TZ=../../etc/passwd * * * * *",
		"TZ=UTC ", "TZ=UTC @", "* * * *", "* * * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8",
		"*/0 * * * *", "60-5 * * * *", "* 24-2 * * *", "* * * * 8-1", "1-x * * * *", ", * * * *", "@never", "@every", "@every x", "@every 0s", "@every -1s", "@every 1s 1s",
		"0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "0 0 , * *", "0 0 * * ,", strings.Repeat("*,", 1000) + "* * * * *",
	} {
		if c, err := Cron(spec, nil); !errors.Is(err, ErrTrigger) {
			t.Errorf("%q: %v, error %v", spec, c, err)
		}
	}
}

func TestCronTakes(t *testing.T) {
	for _, test := range []struct{ spec, want string }{ // after 2026-01-01 00:00:00 UTC, a Thursday
		{"* * * * *", "2026-01-01T00:01:00Z"},
		{"*/20 * * * * *", "2026-01-01T00:00:20Z"},
		{"@yearly", "2027-01-01T00:00:00Z"},
		{"@monthly", "2026-02-01T00:00:00Z"},
		{"@weekly", "2026-01-04T00:00:00Z"},
		{"@daily", "2026-01-02T00:00:00Z"},
		{"@hourly", "2026-01-01T01:00:00Z"},
		{"@every 90s", "2026-01-01T00:01:30Z"},
		{"TZ=Asia/Kathmandu @daily", "2026-01-02T00:00:00+05:45"},
		{"CRON_TZ=UTC 0 0 * * 7", "2026-01-04T00:00:00Z"},
		{"0 0 29 2 *", "2028-02-29T00:00:00Z"},
		{"0 22-2 * * *", "2026-01-01T01:00:00Z"},
		{"0 0 13 * fri", "2026-01-02T00:00:00Z"}, // one of the two is enough
		{"0 0 29 2 */7", "2032-02-29T00:00:00Z"}, // a star: both
		{"0 0 31 2 mon", "2026-02-02T00:00:00Z"}, // never the 31st, but there are Mondays
		{"59 59 23 31 dec ?", "2026-12-31T23:59:59Z"},
	} {
		c, err := Cron(test.spec, nil)
		if err != nil {
			t.Errorf("%q: %v", test.spec, err)
			continue
		}
		if got := c.Next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)).Format(time.RFC3339); got != test.want {
			t.Errorf("%q: %s, want %s", test.spec, got, test.want)
		}
	}
}

// fields is a random expression: what is written, and what is meant by it.
type fields struct {
	minute, hour, dom, month, dow [61]bool
	wild, either                  bool
	spec                          string
}

func random(r *rand.Rand) (f fields) {
	var text []string
	star := [5]bool{}
	for i, field := range []struct {
		set      *[61]bool
		min, max int
	}{{&f.minute, 0, 59}, {&f.hour, 0, 23}, {&f.dom, 1, 31}, {&f.month, 1, 12}, {&f.dow, 0, 6}} {
		n := field.max - field.min + 1
		switch kind := r.IntN(4); {
		case kind == 0 || kind == 1 && i > 1:
			star[i] = true
			text = append(text, "*")
			for v := field.min; v <= field.max; v++ {
				field.set[v] = true
			}
		case kind == 1:
			step := 2 + r.IntN(n/2)
			star[i] = true
			text = append(text, fmt.Sprint("*/", step))
			for v := field.min; v <= field.max; v += step {
				field.set[v] = true
			}
		default: // more often around the hours at which clocks are set
			var list []string
			for range 1 + r.IntN(3) {
				v := field.min + r.IntN(n)
				if i == 1 && r.IntN(2) == 0 {
					v = r.IntN(5)
				}
				field.set[v] = true
				list = append(list, fmt.Sprint(v))
			}
			text = append(text, strings.Join(list, ","))
		}
	}
	f.wild, f.either = star[0] || star[1], !star[2] && !star[4]
	f.spec = strings.Join(text, " ")
	return f
}

func (f *fields) match(wall time.Time) bool {
	dom, dow := f.dom[wall.Day()], f.dow[wall.Weekday()]
	day := dom && dow || f.either && (dom || dow)
	return f.minute[wall.Minute()] && f.hour[wall.Hour()] && f.month[wall.Month()] && day
}

// minutes looks at each minute, as cron itself does: at what a clock on the wall
// shows, and whether it was shown before.
func (f *fields) minutes(from, end time.Time) (all []time.Time) {
	const day = 24 * 60
	show := func(t time.Time) time.Time { // of a clock that is never set
		_, offset := t.Zone()
		return t.UTC().Add(time.Duration(offset) * time.Second)
	}
	begin := from.Add(-day * time.Minute)
	shown := show(begin)
	for t := begin.Add(time.Minute); t.Before(end); t = t.Add(time.Minute) {
		now, hit := show(t), false
		switch step := now.Sub(shown); {
		case f.wild || step.Abs() >= 3*time.Hour:
			hit, shown = f.match(now), now
		default:
			for ; shown.Before(now); shown = shown.Add(time.Minute) {
				hit = hit || f.match(shown.Add(time.Minute))
			}
		}
		if hit && t.After(from) {
			all = append(all, t)
		}
	}
	return all
}

// TestCronAgainstMinutes compares with a walk along all minutes, around all the
// days on which a zone sets its clocks and at random.
func TestCronAgainstMinutes(t *testing.T) {
	rounds := 60
	if testing.Short() {
		rounds = 10
	}
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	compared := 0
	for _, name := range []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca",
		"Asia/Kathmandu", "Pacific/Apia", "America/St_Johns"} {
		z := zone(t, name)
		for range rounds {
			from := time.Date(2005+r.IntN(40), 1, 1, 0, r.IntN(365*24*60), 0, 0, time.UTC).In(z)
			if _, end := from.ZoneBounds(); !end.IsZero() && r.IntN(4) > 0 {
				from = end.Truncate(time.Minute).Add(-time.Duration(r.IntN(48*60)) * time.Minute)
			}
			end := from.Add(72 * time.Hour)
			f := random(r)
			c, err := Cron(f.spec, z)
			if err != nil {
				continue // 31 February
			}
			got, want := walk(c, from, end, 1<<20), f.minutes(from, end)
			if !slices.EqualFunc(got, want, time.Time.Equal) {
				t.Fatalf("seed %d: %q in %s after %v:\ngot  %v\nwant %v", seed, f.spec, name, from, got, want)
			}
			compared += len(want)
		}
	}
	if compared < rounds {
		t.Fatalf("seed %d: only %d instants", seed, compared)
	}
}

// mostUnix is the last second from 1970 that a time.Time can be: it counts from
// the year 1, and what is beyond is far in the past to it.
const mostUnix = math.MaxInt64 - 62135596800

// FuzzCron: no text panics or takes long, and what parses keeps to Trigger's
// rules.
func FuzzCron(f *testing.F) {
	for _, spec := range []string{"30 2 * * *", "TZ=UTC", "TZ=0", "0 0 30 2 *", "@every 1ns", "*/7 1-5,22-2 */29 2 mon#2",
		"TZ=Australia/Lord_Howe 15 2 * * *", "0 0 29 2 1", "CRON_TZ=Pacific/Apia * * * * * *", "@daily"} {
		f.Add(spec, int64(1766000000), int64(-62135596800))
	}
	f.Add("@daily", int64(0), int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, spec string, a, b int64) {
		a, b = min(a, mostUnix), min(b, mostUnix)
		c, err := Cron(spec, nil)
		if err != nil {
			if !errors.Is(err, ErrTrigger) {
				t.Fatal(err)
			}
			return
		}
		early, late := time.Unix(min(a, b), 0), time.Unix(max(a, b), 0)
		x, y := c.Next(early), c.Next(late)
		if !x.IsZero() && !x.After(early) || !y.IsZero() && !y.After(late) {
			t.Fatalf("not after: %v -> %v, %v -> %v", early, x, late, y)
		}
		if !y.IsZero() && (x.IsZero() || x.After(y)) {
			t.Fatalf("out of order: %v -> %v, %v -> %v", early, x, late, y)
		}
	})
}
