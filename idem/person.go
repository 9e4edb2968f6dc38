package idem

import "context"

// Decision is what a person has found out about a record that nobody holds.
type Decision struct {
	state  State
	result []byte
}

// Happened: the effect took place, and result is what callers shall get.
func Happened(result []byte) Decision { return Decision{Done, result} }

// Never: it did not and shall not; callers get a *Failure with that reason.
func Never(reason string) Decision { return Decision{Failed, []byte(reason)} }

// Again: it surely did not, and the next call shall try.
func Again() Decision { return Decision{state: Released} }

// Lookup returns what is known under key. State is Absent when nothing is.
// Result is without the mark that it is stored with.
func (c *Client) Lookup(ctx context.Context, key Key) (Record, error) {
	if c.Store == nil {
		return Record{}, ErrNoStore
	}
	name, err := key.Name()
	if err != nil {
		return Record{}, err
	}
	r, _, err := ask(ctx, c, func(ctx context.Context) (Record, error) { return c.Store.Lookup(ctx, name) })
	if err != nil {
		return Record{}, &Error{Key: key, Err: ErrUnavailable, Cause: err}
	}
	r.Result, _ = unframe(r.Result)
	return r, nil
}

// Resolve ends a record that is unknown, or whose owner died, by the decision
// of a person. version is the record's that the person has looked at (Lookup,
// Error.Version); when it has changed since, or an owner is at it, the error is
// ErrConflict and nothing has. p says how long the decision is retained.
func (c *Client) Resolve(ctx context.Context, key Key, version uint64, d Decision, p Policy) error {
	if c.Store == nil {
		return ErrNoStore
	}
	name, err := key.Name()
	if err != nil {
		return err
	}
	if p, err = p.filled(); err != nil {
		return err
	}
	if d.state == Absent {
		return &Error{Key: key, Err: ErrNoChoice}
	}
	f := Final{State: d.state, Retain: p.Retain, Result: c.frame(d.result)}
	v, _, err := ask(ctx, c, func(ctx context.Context) (Verdict, error) {
		return c.Store.Resolve(ctx, name, version, f)
	})
	switch {
	case err != nil:
		return &Error{Key: key, Err: ErrUnavailable, Cause: err}
	case v == Lost:
		return &Error{Key: key, Err: ErrLost}
	case v == Conflict:
		return &Error{Key: key, Err: ErrConflict}
	}
	return nil
}
