package netconn

import "io"

// SendFile has the kernel send r wherever the peer is.
func SendFile(c *Conn, r io.Reader) (n int64, err error, handled bool) {
	n, err, handled = c.sendFile(r)
	return n, c.fail("readfrom", err), handled
}
