package netconn

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"

	"github.com/weir-go/weir/conn"
)

// attempt is one address that could not be connected to.
type attempt struct {
	addr conn.Addr
	err  error
}

func (a *attempt) Error() string { return a.addr.String() + ": " + a.err.Error() }
func (a *attempt) Unwrap() error { return a.err }

// err says why a race was lost. That a name has no address of one family is
// only worth telling if it has none of the other either.
func (r *race) err() error {
	var all []error
	for _, err := range r.unknown {
		if dns, ok := err.(*net.DNSError); ok && dns.IsNotFound && len(r.unknown)+len(r.failed) > 1 {
			continue
		}
		all = append(all, err)
	}
	all = append(all, r.failed...)
	switch {
	case len(all) == 1:
		return all[0]
	case len(all) == 0 && len(r.unknown) > 0:
		return r.unknown[0]
	}
	return several(all)
}

// several is a name none of whose addresses could be connected to.
type several []error

func (s several) Error() string {
	if len(s) == 0 {
		return "no suitable address found"
	}
	words := make([]string, len(s))
	for i, err := range s {
		words[i] = err.Error()
	}
	return strings.Join(words, "; ")
}

func (s several) Unwrap() []error { return s }

// Timeout makes the net.OpError around it a time-out if every attempt was one.
func (s several) Timeout() bool {
	for _, err := range s {
		var t net.Error
		if !errors.As(err, &t) || !t.Timeout() {
			return false
		}
	}
	return len(s) > 0
}

// dialError dresses what dial returned as package net would.
func dialError(ctx context.Context, network string, err error) error {
	op := &net.OpError{Op: "dial", Net: network}
	if one, ok := err.(*attempt); ok {
		op.Addr, err = netAddr(one.addr, !one.addr.IsUnix()), one.err
	}
	switch ctx.Err() {
	case context.DeadlineExceeded:
		op.Err = dialTimeout{err}
	case context.Canceled:
		op.Err = dialCanceled{err}
	default:
		op.Err = cause(err)
	}
	return op
}

// dialTimeout is a net.Error with Timeout, and both of the errors that software
// compares a time-out with. What had failed before it is inside.
type dialTimeout struct{ before error }

func (e dialTimeout) Error() string   { return interrupted("i/o timeout", e.before) }
func (e dialTimeout) Unwrap() error   { return e.before }
func (e dialTimeout) Timeout() bool   { return true }
func (e dialTimeout) Temporary() bool { return true }
func (e dialTimeout) Is(target error) bool {
	return target == context.DeadlineExceeded || target == os.ErrDeadlineExceeded
}

// dialCanceled is context.Canceled in package net's words.
type dialCanceled struct{ before error }

func (e dialCanceled) Error() string        { return interrupted("operation was canceled", e.before) }
func (e dialCanceled) Unwrap() error        { return e.before }
func (e dialCanceled) Is(target error) bool { return target == context.Canceled }

// interrupted adds what had failed before, unless that is the same thing.
func interrupted(what string, before error) string {
	if s, ok := before.(several); before == nil || ok && len(s) == 0 ||
		errors.Is(before, context.DeadlineExceeded) || errors.Is(before, context.Canceled) {
		return what
	}
	return what + "; before: " + before.Error()
}
