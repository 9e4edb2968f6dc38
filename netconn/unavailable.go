package netconn

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/conn"
)

// Unavailable returns a Farewell (see conn.ListenConfig) for HTTP/1: whoever is not
// let in by b is answered 503 Service Unavailable to the first request, with a
// Retry-After (RFC 9110, 10.2.3) of when b may be Normal again, another one for
// each, and closed. net/http's server knows nothing of it: the connection is told
// on its loop and never reaches Accept.
//
// It does not speak HTTP/2 or TLS: such peers see a connection that ends. A server
// that is still let in, but should begin nothing that lasts (bounds.Shed), asks
// b.Admit in its own handlers.
func Unavailable(b *bounds.Bounds) conn.Serve {
	return func(*conn.Conn) conn.Handler { return unavailable{b} }
}

// unavailable answers the first bytes: before them a client expects no answer.
type unavailable struct{ b *bounds.Bounds }

// Data implements conn.Handler.
func (u unavailable) Data(c *conn.Conn) error {
	c.Discard(c.Buffered())
	back := u.b.Verdict().Back
	back += rand.N(back/2 + time.Second)
	_, err := fmt.Fprintf(c, "HTTP/1.1 503 Service Unavailable\r\nRetry-After: %d\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
		int(back.Seconds())+1)
	if err != nil {
		return err
	}
	return c.Close()
}

// Closed implements conn.Handler.
func (unavailable) Closed(*conn.Conn, error) {}
