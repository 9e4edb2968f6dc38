package idem

import (
	"context"
	"encoding/json"
	"fmt"
)

// Codec turns values into bytes and back. The bytes of a request are what is
// fingerprinted: the same request must give the same bytes each time, in each
// version of the program that is at work.
type Codec[T any] interface {
	Encode(T) ([]byte, error)
	Decode([]byte) (T, error)
}

// JSON is a Codec by encoding/json. It fits requests too: fields come in the
// order of their declaration, and maps sorted.
type JSON[T any] struct{}

// Encode implements Codec.
func (JSON[T]) Encode(v T) ([]byte, error) { return json.Marshal(v) }

// Decode implements Codec.
func (JSON[T]) Decode(b []byte) (v T, err error) {
	err = json.Unmarshal(b, &v)
	return v, err
}

// Operation is something that is done once for each ID, with types instead of
// bytes. It must not be changed after its first Do.
type Operation[Req, Res any] struct {
	Client *Client
	Space  string // as in Key
	Name   string // the Operation of the Key
	Policy Policy

	Requests Codec[Req] // nil: JSON
	Results  Codec[Res] // nil: JSON

	// Run does it. A result that cannot be encoded leaves the effect unknown.
	Run func(ctx context.Context, a *Attempt, req Req) (Res, error)
}

// Do is Client.Do for the ID. The Reply holds the result's bytes, too.
func (o *Operation[Req, Res]) Do(ctx context.Context, id string, req Req) (res Res, reply Reply, err error) {
	requests, results := o.Requests, o.Results
	if requests == nil {
		requests = JSON[Req]{}
	}
	if results == nil {
		results = JSON[Res]{}
	}
	request, err := requests.Encode(req)
	if err != nil {
		return res, reply, fmt.Errorf("idem: request: %w", err)
	}
	key := Key{Space: o.Space, Operation: o.Name, ID: id}
	var own *Res // of this call's Run: what its caller gets without a decoding
	reply, err = o.Client.Do(ctx, key, request, o.Policy, func(ctx context.Context, a *Attempt) ([]byte, error) {
		made, err := o.Run(ctx, a, req)
		if err != nil {
			return nil, err
		}
		own = &made
		return results.Encode(made)
	})
	switch {
	case own != nil:
		return *own, reply, err
	case err != nil:
		return res, reply, err
	}
	if res, err = results.Decode(reply.Result); err != nil {
		return res, reply, fmt.Errorf("idem: stored result: %w", err)
	}
	return res, reply, nil
}
