package leak

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	hold "github.com/weir-go/weir/internal/leak"
)

func TestMain(m *testing.M) { hold.Main(m) }

// alive are the goroutines of plant and come. A test waits for them at its end:
// those of the one before would be in its profiles.
var alive sync.WaitGroup

// plant starts n goroutines that stay, in five places, until release.
func plant(n int, release chan struct{}) {
	at := make(chan struct{})
	alive.Add(n)
	for i := range n {
		go stay(i%5, at, release)
	}
	for range n {
		<-at
	}
}

func stay(where int, at, release chan struct{}) {
	defer alive.Done()
	at <- struct{}{}
	switch where {
	case 0:
		<-release
	case 1:
		select {
		case <-release:
		}
	case 2:
		wait(release)
	case 3:
		func() { <-release }()
	default:
		for range release {
		}
	}
}

func wait(release chan struct{}) { <-release }

// come starts n goroutines that are no leak: they were there before.
func come(n int, at, release chan struct{}) {
	alive.Add(n)
	for range n {
		go func() {
			defer alive.Done()
			at <- struct{}{}
			<-release
		}()
	}
	for range n {
		<-at
	}
}

// TestPlantedLeakIsFirst: a hundred that hang in five places are one leak, and
// named before others that grew less.
func TestPlantedLeakIsFirst(t *testing.T) {
	defer alive.Wait()
	release, at := make(chan struct{}), make(chan struct{})
	defer close(release)
	come(200, at, release)
	plant(3, release)
	before := Snapshot()
	come(40, at, release)
	plant(100, release)
	all := Diff(before, Snapshot())
	for len(all) > 0 && all[0].State == "runnable" { // most are on their way to where they hang
		runtime.Gosched()
		all = Diff(before, Snapshot())
	}
	if len(all) < 2 {
		t.Fatalf("%v", all)
	}
	g := all[0]
	if g.Before != 3 || g.After != 103 || !strings.HasSuffix(g.Entry, "leak.stay") || !strings.HasSuffix(g.Creator.Func, "leak.plant") {
		t.Errorf("%v", g)
	}
	text := g.String()
	for _, want := range []string{"+100 goroutines (3, now 103)", "leak_test.go:", "leak.stay", "created by", "chan receive"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
	if g := all[1]; g.After != 240 || !strings.HasSuffix(g.Creator.Func, "leak.come") {
		t.Errorf("%v", g)
	}
}

func TestNothingGrew(t *testing.T) {
	defer alive.Wait()
	release, at := make(chan struct{}), make(chan struct{})
	come(50, at, release)
	before := Snapshot()
	close(release)
	for _, g := range Diff(before, Snapshot()) {
		if strings.Contains(g.Creator.Func, "leak.come") {
			t.Errorf("%v", g)
		}
	}
	if p := Snapshot(); p.Cut || p.Goroutines == 0 || time.Since(p.At) > time.Minute {
		t.Errorf("%+v", p)
	}
}

const text = `goroutine 1 [running]:
main.main()
	/src/main.go:10 +0x1d

goroutine 18 [chan receive, 2 minutes, locked to thread]:
shop.(*cart).watch(0xc0000b4000, {0x1, 0x2})
	/src/shop/cart.go:77 +0x1d
created by shop.open in goroutine 1
	/src/shop/cart.go:41 +0x5a

goroutine 19 [chan receive, 30 minutes]:
shop.(*cart).watch(...)
	/src/shop/cart.go:77
...additional frames elided...
created by shop.open in goroutine 1
	/src/shop/cart.go:41 +0x5a

goroutine 20 [select]:
shop.(*cart).watch.func1()
	C:/a b/cart.go:9 +0x1
shop.(*cart).watch(0x1)
	/src/shop/cart.go:70 +0x1d
created by shop.open in goroutine 18
	/src/shop/cart.go:41 +0x5a

goroutine 21 [runnable]:
`

func TestParse(t *testing.T) {
	p := parse(text)
	if p.Goroutines != 4 || len(p.groups) != 2 {
		t.Fatalf("%d goroutines, %d groups", p.Goroutines, len(p.groups))
	}
	all := Diff(parse(""), p)
	if len(all) != 2 {
		t.Fatal(all)
	}
	const want = `+3 goroutines (0, now 3) of shop.(*cart).watch, created by shop.open  /src/shop/cart.go:41
	chan receive, locked to thread, up to 30 minutes
	shop.(*cart).watch  /src/shop/cart.go:77`
	if got := all[0].String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if all[1].Entry != "main.main" || all[1].Creator.String() != "nobody" {
		t.Errorf("%v", all[1])
	}
	g := p.groups[origin{Frame{"shop.open", "/src/shop/cart.go", 41}, "shop.(*cart).watch"}]
	if g == nil || g.n != 3 || len(g.stacks) != 2 {
		t.Errorf("%+v", g)
	}
	if more := Diff(p, p); len(more) > 0 {
		t.Errorf("%v", more)
	}
}

// FuzzParse: no text is too much.
func FuzzParse(f *testing.F) {
	f.Add(text)
	f.Add("goroutine [\n\t\n(\n\t:\n\ncreated by \n\t")
	f.Fuzz(func(t *testing.T, text string) {
		p := parse(text)
		sum := 0
		for _, g := range Diff(parse(""), p) {
			sum += g.After
			_ = g.String()
		}
		if sum != p.Goroutines {
			t.Fatalf("%d goroutines, and %d in groups", p.Goroutines, sum)
		}
	})
}

func ExampleDiff() {
	began, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	before := Snapshot()
	for range 100 {
		go func() {
			began <- struct{}{}
			<-release // who is to end them?
		}()
	}
	for range 100 {
		<-began
	}
	worst := Diff(before, Snapshot())[0]
	fmt.Println(worst.After-worst.Before, worst.Creator.Func)
	// Output: 100 github.com/weir-go/weir/leak.ExampleDiff
}
