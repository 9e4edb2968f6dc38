package sched

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"

	syntax "github.com/netresearch/go-cron"
)

// Cron reads an expression of cron: minute, hour, day of month, month, day of
// week, or six fields with the second first; @yearly, @monthly, @weekly, @daily,
// @hourly; @every 90s, which is an Every from the beginning of 1970. The zone is
// where; nil: UTC. An expression that begins with TZ=Europe/Berlin and a space
// says so itself. What does not parse and what never comes, the 30th of February,
// is an error that wraps ErrTrigger.
//
// Days are those of ISC cron: where both the day of month and the day of week
// are restricted one of them is enough, unless either begins with a star. So is
// what happens when the zone sets its clocks, by less than three hours:
//
//   - A time of day that is left out fires once, right after the gap, however
//     many such times there are in it.
//   - A time of day that comes twice fires the first time only.
//   - Where the minute or the hour begins with a star, or names every one, there
//     is no time of day to speak of, and it goes by what the clock shows: each
//     hour that there is, and the hour that comes twice twice.
//
// A setting by more, as when a country moves across the date line, is a calendar
// that has no such time, or has it twice.
func Cron(spec string, zone *time.Location) (Trigger, error) {
	if zone == nil {
		zone = time.UTC
	}
	fields := strings.Fields(spec)
	if len(fields) > 0 && (strings.HasPrefix(fields[0], "TZ=") || strings.HasPrefix(fields[0], "CRON_TZ=")) {
		zone, fields = nil, fields[1:]
	}
	if len(fields) == 2 && fields[0] == "@every" {
		return every(fields[1])
	}
	parsed, err := parser.Parse(spec)
	if err != nil {
		return nil, fmt.Errorf("%w: %q: %w", ErrTrigger, spec, err)
	}
	s, ok := parsed.(*syntax.SpecSchedule)
	if !ok {
		return nil, wrong(fmt.Sprintf("%q is nothing that is known here", spec))
	}
	if zone == nil {
		zone = s.Location
	}
	c := &cron{second: s.Second & all60, minute: s.Minute & all60, hour: s.Hour & all24,
		dom: s.Dom & allDays, month: s.Month & allMonths, dow: syntax.NormalizeDOW(s.Dow) & allWeek, zone: zone}
	if err := wraps(fields); err != nil {
		return nil, err
	}
	c.stars(fields)
	if !c.possible() {
		return nil, wrong(fmt.Sprintf("%q never comes", spec))
	}
	return c, nil
}

// parser reads the fields; what comes of them is decided here. It is
// netresearch's, which has been kept up since robfig's, where it comes from, is
// not: that one panics on a zone without fields.
var parser = syntax.MustNewParser(syntax.SecondOptional | syntax.Minute | syntax.Hour | syntax.Dom |
	syntax.Month | syntax.Dow | syntax.Descriptor)

func every(period string) (Trigger, error) {
	d, err := time.ParseDuration(period)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTrigger, err)
	}
	e := Every{Period: d}
	if err := e.Check(); err != nil {
		return nil, err
	}
	return e, nil
}

// wraps refuses a number above its field's in a range that goes over the end, as
// 22-2 does for hours: the parser takes 60-5 for 0-5, and 70-5 for nothing.
func wraps(fields []string) error {
	most := []int{59, 59, 23, 31, 12, 7}
	if len(fields) < len(most) {
		most = most[1:]
	}
	if len(fields) != len(most) {
		return nil // @daily
	}
	for i, field := range fields {
		for part := range strings.SplitSeq(field, ",") {
			from, _, ok := strings.Cut(part, "-")
			if n, err := strconv.Atoi(from); ok && err == nil && n > most[i] {
				return wrong(fmt.Sprintf("%q begins above %d", part, most[i]))
			}
		}
	}
	return nil
}

// Bits of what a field may have.
const (
	all60     = 1<<60 - 1
	all24     = 1<<24 - 1
	allDays   = 1<<32 - 1<<1
	allMonths = 1<<13 - 1<<1
	allWeek   = 1<<7 - 1
)

// cron is sets of bits: of second 0, of the first day, of Sunday ...
type cron struct {
	second, minute, hour, dom, month, dow uint64

	// either: one of dom and dow is enough. wild: no time of day, as said at Cron.
	either, wild bool

	zone *time.Location
}

// stars notes what depends on how a field was written.
func (c *cron) stars(fields []string) {
	if len(fields) == 6 {
		fields = fields[1:]
	}
	c.wild = c.minute == all60 || c.hour == all24
	if len(fields) == 5 {
		star := func(i int) bool { return strings.HasPrefix(fields[i], "*") || strings.HasPrefix(fields[i], "?") }
		c.wild = c.wild || star(0) || star(1)
		c.either = !star(2) && !star(4)
	}
}

// possible says whether there is such a day at all, in some year, and such a
// time of day.
func (c *cron) possible() bool {
	if c.second == 0 || c.minute == 0 || c.hour == 0 || c.month == 0 {
		return false
	}
	if c.either && c.dow != 0 {
		return true
	}
	for month := time.January; month <= time.December; month++ {
		// 2000 is a leap year; in 400 years each date is each day of the week.
		if c.month>>month&1 == 1 && c.dom&(1<<(days(2000, month)+1)-1) != 0 {
			return c.either || c.dow != 0
		}
	}
	return false
}

// days returns how many a month has.
func days(year int, month time.Month) int {
	return time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// on says whether it is on that day.
func (c *cron) on(day int, weekday time.Weekday) bool {
	dom, dow := c.dom>>day&1 == 1, c.dow>>weekday&1 == 1
	if c.either {
		return dom || dow
	}
	return dom && dow
}

// rarest is how many months there are at most from one day to the next: from
// a 29th of February that is a Monday to the next takes 40 years around 2100.
const rarest = 41 * 12

// wall returns the first of its times that is not before from, in seconds of a
// wall clock that nobody sets, from 1970.
func (c *cron) wall(from int64) (int64, bool) {
	t := time.Unix(from, 0).UTC()
	year, month, day := t.Date()
	second := t.Hour()*3600 + t.Minute()*60 + t.Second()
	for range rarest {
		if c.month>>month&1 == 1 {
			first := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
			weekday := first.Weekday()
			for d, last := day, days(year, month); d <= last; d++ {
				if c.on(d, weekday) {
					if at, ok := c.time(second); ok {
						return first.Unix() + int64(d-day)*86400 + int64(at), true
					}
				}
				weekday, second = (weekday+1)%7, 0
			}
		}
		year, month, day, second = year+int(month/12), month%12+1, 1, 0
	}
	return 0, false
}

// time returns the first time of day that is not before from, in seconds.
func (c *cron) time(from int) (int, bool) {
	hour, minute, second := from/3600, from/60%60, from%60
	for h := next(c.hour, hour); h < 24; h = next(c.hour, h+1) {
		if h > hour {
			minute, second = 0, 0
		}
		for m := next(c.minute, minute); m < 60; m = next(c.minute, m+1) {
			if m > minute {
				second = 0
			}
			if s := next(c.second, second); s < 60 {
				return h*3600 + m*60 + s, true
			}
		}
	}
	return 0, false
}

// next returns the first bit that is set from i on, 64 if none is.
func next(set uint64, i int) int { return bits.TrailingZeros64(set >> i << i) }
