//go:build !linux

package netconn

import "io"

// sendFile does nothing here: the other systems' calls differ in every detail
// (who moves the position, what EAGAIN has already sent), and a copy is right
// everywhere.
func (c *Conn) sendFile(io.Reader) (n int64, err error, handled bool) { return 0, nil, false }
