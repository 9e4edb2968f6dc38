package bounds_test

import (
	"errors"
	"fmt"
	"os"

	"github.com/weir-go/weir/bounds"
)

// A program counts what it opens besides its connections, and asks before it
// begins something that lasts.
func Example() {
	b, err := bounds.New(bounds.Config{Limit: 1000})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()

	if err := b.Take(bounds.Other); err == nil {
		if f, err := os.Open(os.DevNull); err == nil {
			f.Close()
		}
		b.Give(bounds.Other)
	}

	fmt.Println(b.Verdict().State, b.Admit())

	b.Exhausted(bounds.Descriptors) // what a call that ended with EMFILE says
	var refusal *bounds.Refusal
	if errors.As(b.Admit(), &refusal) {
		fmt.Println(refusal.Verdict.State, refusal.Verdict.Resource, refusal.RetryAfter > 0)
	}
	// Output:
	// normal <nil>
	// hard descriptors true
}
