package conn

import (
	"bytes"
	"io"
	"testing"
)

// lingers says whether Close reads on after the last byte was sent.
const lingers = false

// A peer that is told good-bye while it still sends must be able to read it.
// When a socket is closed with input unread, or input comes after, TCP answers
// with a reset and drops what it has not sent yet.
func TestCloseIsHeard(t *testing.T) {
	if !lingers {
		t.Skip("Close does not wait until the peer has heard: it should end the stream, read on and throw away " +
			"until the peer ends its own or CloseTimeout is over, and close then")
	}
	rt := running(t, Config{Loops: 1})
	answer := bytes.Repeat([]byte("enough! "), 64<<10)
	ln := listening(t, rt, func(*Conn) Handler {
		return funcs{data: func(c *Conn) error {
			c.Discard(1)
			_, err := c.Write(answer)
			c.Close()
			return err
		}}
	})
	for range 20 {
		nc := dial(t, ln.Addr())
		for range 64 { // more than the server will read
			if _, err := nc.Write(block); err != nil {
				break
			}
		}
		if heard, err := io.ReadAll(nc); err != nil || !bytes.Equal(heard, answer) {
			t.Fatalf("heard %d of %d bytes, %v", len(heard), len(answer), err)
		}
	}
}
