package saga_test

import (
	"errors"
	"testing"

	"github.com/weir-go/weir/saga"
	"github.com/weir-go/weir/saga/sagatest"
)

func TestMemory(t *testing.T) {
	sagatest.TestLog(t, func(*testing.T) saga.Log { return new(saga.Memory) })
}

func TestMemoryLimit(t *testing.T) {
	m := &saga.Memory{Limit: 1}
	a, b := sagatest.Record("a"), sagatest.Record("b")
	if err := m.Create(t.Context(), &a); err != nil {
		t.Fatal(err)
	}
	if err := m.Create(t.Context(), &b); !errors.Is(err, saga.ErrFull) {
		t.Fatal(err)
	}
}
