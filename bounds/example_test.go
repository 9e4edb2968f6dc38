package bounds_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/timer"
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

// A door: one connection at a time from each address, and nobody of one network.
// A listener's Guard is asked by itself (conn.ListenConfig.Guard).
func ExampleGuard() {
	g, _ := bounds.NewGuard(bounds.GuardConfig{Conns: 1, Deny: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	now := timer.Now()
	fmt.Println(g.Enter(netip.MustParseAddr("192.0.2.1"), now))
	fmt.Println(g.Enter(netip.MustParseAddr("203.0.113.1"), now))
	fmt.Println(g.Enter(netip.MustParseAddr("203.0.113.1"), now))
	// Output:
	// bounds: the address is not let in
	// <nil>
	// bounds: too many connections from one source
}
