package netconn_test

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/breaker"
	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/netconn"
)

// TestDialerWithBreaker: a destination that refuses is not asked any more, others
// are; a caller who leaves and what this side does not have open nothing.
func TestDialerWithBreaker(t *testing.T) {
	b, err := bounds.New(bounds.Config{})
	ok(t, err)
	defer b.Close()
	rt := start(t, conn.Config{Bounds: b})
	breakers := breaker.New(breaker.Config{Calls: 2, Open: time.Hour, Most: time.Hour})
	d := netconn.Dialer{Runtime: rt, Timeout: patience, Allow: breakers.Allow}
	closed := "127.0.0.1:" + closedPort(t)

	left, leave := context.WithCancel(t.Context())
	leave()
	for range 5 {
		if _, err := d.DialContext(left, "tcp", closed); errors.Is(err, breaker.ErrOpen) {
			t.Fatal("opened by a caller who left")
		}
	}
	for range 2 {
		if _, err := d.Dial("tcp", closed); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatal(err)
		}
	}
	var open *breaker.OpenError
	if _, err := d.Dial("tcp", closed); !errors.As(err, &open) || open.Destination != closed {
		t.Fatal(err)
	}
	l := listen(t, rt, loopback4)
	c, err := d.Dial("tcp", l.Addr().String())
	ok(t, err)
	c.Close()

	b.Exhausted(bounds.Descriptors)
	for range 5 {
		if _, err := d.Dial("tcp", l.Addr().String()); !errors.Is(err, bounds.ErrRefused) {
			t.Fatal(err)
		}
	}
}
