package saga_test

import (
	"context"
	"fmt"

	"github.com/weir-go/weir/idem"
	"github.com/weir-go/weir/saga"
)

// An order takes stock, then a coupon, and then somebody has to carry it. Nobody
// does, so coupon and stock are given back.
func Example() {
	say := func(text string, err error) func(context.Context, *saga.Attempt) ([]byte, error) {
		return func(ctx context.Context, a *saga.Attempt) ([]byte, error) {
			fmt.Println(a.ID, text)
			return []byte(text), err
		}
	}
	// These may be called twice, if nobody knows whether they were.
	call := func(text string) saga.Call { return saga.Call{Run: say(text, nil), Unknown: saga.Redo()} }
	order := &saga.Definition{Name: "order", Steps: []saga.Step{
		{Name: "stock", Do: call("takes stock"), Undo: call("gives stock back")},
		{Name: "coupon", Do: call("takes a coupon"), Undo: call("gives the coupon back")},
		{Name: "logistics", Do: saga.Call{
			Run:     say("asks for a carrier", &idem.Failure{Reason: "nobody goes there"}),
			Unknown: saga.Redo(),
		}},
	}}

	// A server has both in files: saga/boltlog and idem/boltstore.
	r, err := saga.NewRunner(saga.Config{
		Log:         new(saga.Memory),
		Idem:        &idem.Client{Store: new(idem.Memory)},
		Definitions: []*saga.Definition{order},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close(context.Background())
	if _, err := r.Recover(context.Background()); err != nil { // at the start of the process
		fmt.Println(err)
	}
	o, err := r.Run(context.Background(), "order", "order-1", []byte("2 books"))
	fmt.Println(o.State, o.Reason, err)

	// Output:
	// order-1 takes stock
	// order-1 takes a coupon
	// order-1 asks for a carrier
	// order-1 gives the coupon back
	// order-1 gives stock back
	// compensated logistics: nobody goes there <nil>
}
