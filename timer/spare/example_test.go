package spare_test

import (
	"context"
	"fmt"

	"github.com/weir-go/weir/timer/spare"
)

// What computes for long runs through a pool that leaves a P to the clock.
func ExamplePool() {
	pool, err := spare.New(0) // at the start of the program
	if err != nil {
		panic(err)
	}
	sum := make(chan int, 1)
	err = pool.Submit(func() {
		n := 0
		for i := range 1000 {
			n += i
		}
		sum <- n
	})
	if err != nil {
		panic(err) // ErrBusy: wait, or turn the work away
	}
	fmt.Println(<-sum)
	if err := pool.Close(context.Background()); err != nil {
		panic(err)
	}
	// Output: 499500
}
