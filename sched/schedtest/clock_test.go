package schedtest_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/weir-go/weir/internal/leak"
	"github.com/weir-go/weir/sched/schedtest"
	"github.com/weir-go/weir/timer"
)

func TestMain(m *testing.M) { leak.Main(m) }

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// started is a clock that asks for instants on and on, a minute apart, and notes
// what the wall clock shows when it is called.
func started(t *testing.T) (c *schedtest.Clock, calls *[]string) {
	t.Helper()
	c, calls = schedtest.NewClock(noon), new([]string)
	note := func(what string) { *calls = append(*calls, what+c.Wall().Format(" 15:04:05")) }
	next := c.Now().Add(time.Minute)
	err := c.Start(func() {
		note("wake")
		for next <= c.Now() {
			next = next.Add(time.Minute)
		}
		c.Wake(next)
	}, func() { note("stepped") })
	if err != nil {
		t.Fatal(err)
	}
	c.Wake(next)
	return c, calls
}

func TestClock(t *testing.T) {
	for _, test := range []struct {
		what string
		turn func(*schedtest.Clock)
		want []string
	}{
		{"too short", func(c *schedtest.Clock) { c.Advance(time.Minute - 1) }, nil},
		{"each on its way", func(c *schedtest.Clock) { c.Advance(150 * time.Second) }, []string{"wake 12:01:00", "wake 12:02:00"}},
		{"once at the end", func(c *schedtest.Clock) { c.Stall(150 * time.Second) }, []string{"wake 12:02:30"}},
		{"set forward", func(c *schedtest.Clock) { c.Set(time.Hour) }, []string{"stepped 13:00:00"}},
		{"set back, and on", func(c *schedtest.Clock) { c.Set(-time.Hour); c.Advance(time.Minute) },
			[]string{"stepped 11:00:00", "wake 11:01:00"}},
		{"in the past", func(c *schedtest.Clock) { c.Wake(1); c.Advance(0) }, []string{"wake 12:00:00"}},
		{"closed", func(c *schedtest.Clock) { c.Close(); c.Advance(time.Hour); c.Set(time.Hour) }, nil},
	} {
		t.Run(test.what, func(t *testing.T) {
			c, calls := started(t)
			test.turn(c)
			if !slices.Equal(*calls, test.want) {
				t.Errorf("%q, want %q", *calls, test.want)
			}
		})
	}
}

func TestClockServesOne(t *testing.T) {
	c, _ := started(t)
	if err := c.Start(func() {}, func() {}); err == nil {
		t.Error("started twice")
	}
	if c.Now() <= 0 || c.Now() == timer.Never {
		t.Error(c.Now())
	}
}

func ExampleClock() {
	clock := schedtest.NewClock(noon)
	clock.Advance(90 * time.Minute)
	fmt.Println(clock.Wall().Format(time.Kitchen))
	// Output: 1:30PM
}
