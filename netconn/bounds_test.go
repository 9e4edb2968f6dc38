package netconn_test

import (
	"errors"
	"testing"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/netconn"
)

// TestDialerIsBounded: its connections are counted as what it says, and what
// refuses one is found in the error.
func TestDialerIsBounded(t *testing.T) {
	b, err := bounds.New(bounds.Config{})
	ok(t, err)
	defer b.Close()
	rt := start(t, conn.Config{Bounds: b})
	l, err := netconn.ListenConfig{ListenConfig: conn.ListenConfig{Class: bounds.Stream}}.Listen(rt, loopback4)
	ok(t, err)
	defer l.Close()
	d := netconn.Dialer{Runtime: rt, Class: bounds.Other, Timeout: patience}
	c, err := d.Dial("tcp", l.Addr().String())
	ok(t, err)
	s := accept(t, l)
	if used := b.Stats().Classes; used[bounds.Other].Used != 1 || used[bounds.Stream].Used != 1 {
		t.Errorf("%+v", used)
	}
	ok(t, c.Close())
	ok(t, s.Close())
	until(t, "both are given back", func() bool { return b.Stats().Taken == 0 })

	b.Exhausted(bounds.Descriptors)
	_, err = d.Dial("tcp", l.Addr().String())
	var r *bounds.Refusal
	if !errors.As(err, &r) || r.Class != bounds.Other {
		t.Errorf("%v", err)
	}
}
