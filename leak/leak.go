// Package leak names the go statement that goroutines pile up from.
//
//	before := leak.Snapshot()
//	...                                    // 30 s, or a thousand requests
//	for _, g := range leak.Diff(before, leak.Snapshot()) {
//		log.Println(g)                     // the one that grew most comes first
//	}
//
//	+100 goroutines (3, now 103) of shop.(*cart).watch, created by shop.open  /src/shop/cart.go:41
//		chan receive, up to 29 minutes
//		shop.(*cart).watch  /src/shop/cart.go:77
//
// Goroutines are told apart by the go statement that made them and by the
// function that it calls, and not by where they are at the moment: a hundred
// that leak from one place and hang in five are one leak, not five.
//
// A Snapshot stops the world while it is taken, some 2 µs for each goroutine:
// take it when somebody asks, and not each second. For tests of this module there
// is internal/leak, which fails a test that leaves anything.
package leak

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Most is how many bytes of stacks a Snapshot reads; goroutines beyond are not
// in it, and Profile.Cut says so. Some 50,000 goroutines.
const Most = 64 << 20

// A Profile is what goroutines there were.
type Profile struct {
	At         time.Time
	Goroutines int  // in the profile
	Cut        bool // there were more than fit

	groups map[origin]*group
}

// An origin is where goroutines come from.
type origin struct {
	creator Frame  // of the go statement; zero for main
	entry   string // the function that it calls
}

// A group is the goroutines of one origin.
type group struct {
	n      int
	stacks map[string]*stack // by their text
}

// A stack is one, and how many goroutines have it.
type stack struct {
	n      int
	state  string
	wait   time.Duration // the longest
	frames []Frame
}

// A Frame is a place in the code.
type Frame struct {
	Func string // with its package
	File string // with its path
	Line int
}

// String returns function, file and line, the zero Frame's "nobody".
func (f Frame) String() string {
	if f.Func == "" {
		return "nobody"
	}
	return fmt.Sprintf("%s  %s:%d", f.Func, f.File, f.Line)
}

// Snapshot returns the goroutines that there are. Any goroutine may call it.
func Snapshot() *Profile {
	buf := make([]byte, min(Most, 64<<10+1024*runtime.NumGoroutine()))
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) || len(buf) >= Most {
			p := parse(string(buf[:n]))
			p.At, p.Cut = time.Now(), n == len(buf)
			return p
		}
		buf = make([]byte, min(Most, 2*len(buf)))
	}
}

// Growth is one go statement from which there are more goroutines than before.
type Growth struct {
	Before, After int
	Entry         string // the function that the goroutines run
	Creator       Frame  // where they were started; zero for main

	// What most of them do: waiting for what, for how long at most (in full
	// minutes, as the Go runtime counts), and where.
	State string
	Wait  time.Duration
	Stack []Frame
}

// Diff returns what has grown, the most first. Equal ones are in the order of
// their names. Profiles that were Cut may make some look as if they had grown.
func Diff(before, after *Profile) []Growth {
	var all []Growth
	for o, g := range after.groups {
		was := 0
		if old := before.groups[o]; old != nil {
			was = old.n
		}
		if g.n > was {
			s := g.usual()
			all = append(all, Growth{Before: was, After: g.n, Entry: o.entry, Creator: o.creator,
				State: s.state, Wait: s.wait, Stack: s.frames})
		}
	}
	slices.SortFunc(all, func(a, b Growth) int {
		return cmp.Or(cmp.Compare(b.After-b.Before, a.After-a.Before), cmp.Compare(a.Entry, b.Entry),
			cmp.Compare(a.Creator.String(), b.Creator.String()))
	})
	return all
}

// usual returns the stack that most have.
func (g *group) usual() (most *stack) {
	var text string
	for t, s := range g.stacks {
		if most == nil || s.n > most.n || s.n == most.n && t < text {
			most, text = s, t
		}
	}
	return most
}

// String returns it as at the top of the package, several lines without a line
// break at the end.
func (g Growth) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "+%d goroutines (%d, now %d) of %s, created by %s\n\t%s",
		g.After-g.Before, g.Before, g.After, g.Entry, g.Creator, g.State)
	if g.Wait > 0 {
		fmt.Fprintf(&b, ", up to %.0f minutes", g.Wait.Minutes())
	}
	for _, f := range g.Stack {
		fmt.Fprintf(&b, "\n\t%s", f)
	}
	return b.String()
}
