package idem_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-go/weir/idem"
	"github.com/weir-go/weir/idem/idemtest"
)

func TestMemory(t *testing.T) {
	idemtest.TestStore(t, func(*testing.T) idem.Store { return new(idem.Memory) })
}

// TestMemoryIsBounded: a full store refuses, forgets what is over, and refuses
// no more.
func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &idem.Memory{Limit: 10}
		begin := func(i int) error {
			_, err := m.Begin(context.Background(), fmt.Sprint(i),
				idem.Claim{Owner: idem.Owner{1}, Lease: time.Second, Retain: time.Minute, Attempts: 1})
			return err
		}
		for i := range 10 {
			if err := begin(i); err != nil {
				t.Fatal(err)
			}
		}
		err := begin(10)
		if !errors.Is(err, idem.ErrFull) || !errors.Is(err, idem.ErrRefused) || m.Refused() != 1 {
			t.Fatalf("the 11th of 10: %v, %d refused", err, m.Refused())
		}
		if err := begin(3); err != nil {
			t.Fatalf("a record that is there: %v", err)
		}
		<-time.After(time.Minute)
		for i := 10; i < 20; i++ {
			if err := begin(i); err != nil {
				t.Fatalf("after retention: %v", err)
			}
		}
		if n := m.Len(); n != 10 {
			t.Fatalf("%d records", n)
		}
	})
}
