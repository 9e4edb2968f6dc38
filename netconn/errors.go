package netconn

import (
	"errors"
	"io"
	"net"

	"github.com/weir-go/weir/conn"
)

// fail dresses an error of package conn as package net would: both addresses,
// the operation, and a cause that software tests for. io.EOF stays bare, since
// it is compared with ==.
func (c *Conn) fail(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	local, remote := c.LocalAddr(), c.RemoteAddr()
	return &net.OpError{Op: op, Net: local.Network(), Source: local, Addr: remote, Err: cause(err)}
}

// failHere is fail for what concerns our end only; package net names just the
// local address then.
func (c *Conn) failHere(op string, err error) error {
	if err == nil {
		return nil
	}
	local := c.LocalAddr()
	return &net.OpError{Op: op, Net: local.Network(), Addr: local, Err: cause(err)}
}

// cause translates the sentinels that package net has others for. System errors
// and deadlines are already what they are there; conn.ErrShutdown and the like
// stay.
func cause(err error) error {
	if errors.Is(err, conn.ErrClosed) {
		return net.ErrClosed
	}
	return err
}
