package timer

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-go/weir/internal/script"
)

// The golden scripts are small heaps that go from level to level. Commands:
//
//	direct N        buckets of up to N timers go straight to the heap; first of all
//	few N           from now on up to N timers are in the heap at once
//	set X WHEN...   sets a timer by its name, and the next letters to the next instants
//	stop X...       stops timers
//	advance WHEN    advances and says what fired
//	next            says what Next says
//	owner           advances to Next until nothing is set
//	show            says where each timer is
//
// WHEN is a duration, or a sum of two; never; or a power of two as in 2^28.
func TestGolden(t *testing.T) {
	script.Run(t, "testdata/*.txt", func(t *testing.T, commands []script.Command) []string {
		g := &golden{t: t, timers: map[string]*Timer{}}
		withLevels(&g.heap, 0, 0)
		for _, c := range commands {
			g.play(c)
		}
		if err := g.heap.levels.check(); err != nil {
			t.Error(err)
		}
		return g.trace
	})
}

type golden struct {
	t      *testing.T
	heap   Heap
	timers map[string]*Timer
	fired  []string
	trace  []string
}

func (g *golden) say(format string, args ...any) {
	g.trace = append(g.trace, fmt.Sprintf(format, args...))
}

func (g *golden) play(c script.Command) {
	switch c.Name {
	case "direct":
		fmt.Sscan(c.Args[0], &g.heap.levels.direct)
	case "few":
		fmt.Sscan(c.Args[0], &g.heap.levels.few)
	case "set":
		for i, when := range c.Args[1:] {
			g.set(string(rune(c.Args[0][0]+byte(i))), g.instant(when))
		}
	case "stop":
		for _, name := range c.Args {
			g.heap.Stop(g.timers[name])
		}
	case "advance":
		g.advance(g.instant(c.Args[0]))
	case "next":
		when, ok := g.heap.Next()
		g.say("next %v %v", show(when), ok)
	case "owner":
		for when, ok := g.heap.Next(); ok; when, ok = g.heap.Next() {
			g.advance(when)
		}
	case "show":
		g.show()
	default:
		g.t.Fatalf("line %d: no command %s", c.Line, c.Name)
	}
}

func (g *golden) set(name string, when Time) {
	x := g.timers[name]
	if x == nil {
		x = new(Timer)
		x.Init(Func(func(Time) { g.fired = append(g.fired, name) }))
		g.timers[name] = x
	}
	g.heap.Set(x, when)
}

func (g *golden) advance(now Time) {
	g.fired = []string{"fired"}
	g.heap.Advance(now)
	if len(g.fired) == 1 {
		g.fired = []string{"nothing fired"}
	}
	g.say("%v: %s", show(now), strings.Join(g.fired, " "))
}

// show lists the timers of each place in the order of their names.
func (g *golden) show() {
	places := map[string][]string{}
	for name, x := range g.timers {
		if place := g.place(x); place != "" {
			places[place] = append(places[place], name)
		}
	}
	var lines []string
	for place, names := range places {
		slices.Sort(names)
		lines = append(lines, place+": "+strings.Join(names, " "))
	}
	slices.Sort(lines)
	g.trace = append(g.trace, lines...)
}

func (g *golden) place(x *Timer) string {
	l := g.heap.levels
	switch {
	case !x.Active():
		return ""
	case x.place < inLevels:
		return "heap"
	}
	i, _ := l.own(x)
	b := int(l.runs[i>>runBits].bucket)
	if b == never {
		return "never"
	}
	return fmt.Sprintf("level %d from %v", b>>slotBits, show(l.begin(b)))
}

func show(t Time) string {
	if t == Never {
		return "never"
	}
	return time.Duration(t).String()
}

// instant reads a sum of instants.
func (g *golden) instant(s string) (sum Time) {
	for part := range strings.SplitSeq(s, "+") {
		var power int
		if part == "never" {
			return Never
		} else if n, _ := fmt.Sscanf(part, "2^%d", &power); n == 1 {
			sum = sum.Add(1 << power)
			continue
		}
		d, err := time.ParseDuration(part)
		if err != nil {
			g.t.Fatal(err)
		}
		sum = sum.Add(d)
	}
	return sum
}
