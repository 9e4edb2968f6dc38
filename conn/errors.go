package conn

import (
	"errors"
	"fmt"
)

// What a connection, a listener or a runtime can answer. Compare with
// errors.Is: the cause may be wrapped.
var (
	ErrClosed   = errors.New("conn: closed")
	ErrFull     = errors.New("conn: output is at its high-water mark")
	ErrBudget   = errors.New("conn: the runtime's byte budget is used up")
	ErrBusy     = errors.New("conn: busy")
	ErrIdle     = errors.New("conn: idle for too long")
	ErrSlow     = errors.New("conn: the peer sends too slowly")
	ErrShutdown = errors.New("conn: the runtime is shutting down")
	ErrPending  = errors.New("conn: output is still pending")
	ErrLimit    = errors.New("conn: too many connections")
	ErrFlush    = errors.New("conn: output could not be flushed in time")
	ErrBlocking = errors.New("conn: the connection is on its blocking face")
)

// PanicError is the cause of a connection that ended because one of its
// callbacks panicked.
type PanicError struct {
	Value any    // what was given to panic
	Stack []byte // of the loop, at the panic
}

func (p *PanicError) Error() string { return fmt.Sprintf("conn: callback panicked: %v", p.Value) }

// Unwrap returns the value when it was an error.
func (p *PanicError) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}
