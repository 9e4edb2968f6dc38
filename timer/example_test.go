package timer_test

import (
	"fmt"
	"time"

	"github.com/weir-go/weir/timer"
)

// A conn ends when nothing was heard for a minute.
type conn struct {
	name string
	idle timer.Timer
}

// Fire is called by Advance.
func (c *conn) Fire(now timer.Time) { fmt.Println(c.name, "was idle for too long") }

// The instants are made up, so that the example runs in no time; a loop would
// take them from timer.Now.
func ExampleHeap() {
	const patience = time.Minute
	var deadlines timer.Heap
	now := timer.Time(1)

	conns := []*conn{{name: "first"}, {name: "second"}}
	for _, c := range conns {
		c.idle.Init(c)
		deadlines.Set(&c.idle, now.Add(patience))
	}

	now = now.Add(40 * time.Second)
	deadlines.Set(&conns[0].idle, now.Add(patience)) // a message: a store, no more

	for {
		next, ok := deadlines.Next()
		if !ok {
			break
		}
		fmt.Println("sleep for", next.Sub(now))
		now = next // the sleep
		deadlines.Advance(now)
	}
	// Output:
	// sleep for 20s
	// second was idle for too long
	// sleep for 40s
	// first was idle for too long
}
