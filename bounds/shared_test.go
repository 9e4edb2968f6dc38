package bounds_test

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/await"
)

// quiet is the handler of a connection on which nothing happens.
type quiet struct{}

func (quiet) Data(*conn.Conn) error    { return nil }
func (quiet) Closed(*conn.Conn, error) {}

// Two runtimes that share Bounds have one budget: what one of them has is missing
// to the other, what one of them is short of both are, and what one gives back when
// it ends is all that it had.
func TestTwoRuntimesShare(t *testing.T) {
	b, err := bounds.New(bounds.Config{Limit: 100_000})
	ok(t, err)
	defer b.Close()
	taken := func() int { return b.Stats().Taken }
	var rts [2]*conn.Runtime
	var own [2]int
	var at conn.Addr
	for i := range rts {
		before := taken()
		rts[i], err = conn.Start(conn.Config{Loops: 1, Bounds: b})
		ok(t, err)
		defer rts[i].Close()
		ln, err := rts[i].Listen(conn.TCP(netip.MustParseAddrPort("127.0.0.1:0")), func(*conn.Conn) conn.Handler { return quiet{} })
		ok(t, err)
		at = ln.Addr()
		without := taken()
		for range 5 + i {
			c, err := net.Dial("tcp", ln.Addr().String())
			ok(t, err)
			defer c.Close()
		}
		await.Until(t, "they are counted", func() bool { return taken() == without+5+i })
		own[i] = taken() - before
	}
	b.Exhausted(bounds.Descriptors)
	for i, rt := range rts {
		_, err := rt.Dial(t.Context(), at, func(*conn.Conn) conn.Handler { return quiet{} })
		if !errors.Is(err, bounds.ErrRefused) {
			t.Errorf("runtime %d dials though there is nothing left: %v", i, err)
		}
	}
	ok(t, rts[0].Close())
	if got := taken(); got != own[1] {
		t.Errorf("%d are taken when one has ended, want %d", got, own[1])
	}
	ok(t, rts[1].Close())
	if s := b.Stats(); s.Taken != 0 || s.Overdrawn != 0 {
		t.Errorf("at the end: %+v", s)
	}
}
