package netconn

import (
	"io"

	"github.com/weir-go/weir/conn"
)

// SendFile has the kernel send r wherever the peer is.
func SendFile(c *Conn, r io.Reader) (n int64, err error, handled bool) {
	n, err, handled = c.sendFile(r)
	return n, c.fail("readfrom", err), handled
}

// Order returns the addresses in the order in which a Dialer tries them, most
// at most, when all are known before the first attempt.
func Order(most int, addrs ...conn.Addr) (order []conn.Addr) {
	r := &race{most: most}
	r.add(answer{addrs: addrs})
	for {
		a, ok := r.draw()
		if !ok {
			return order
		}
		r.tried++
		order = append(order, a)
	}
}
