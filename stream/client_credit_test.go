package stream

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	until "github.com/weir-go/weir/internal/await"
)

// Callers that take, or drop, what had filled the session's budget open the
// connection's window for others again, also when their own streams are over and
// nothing else happens on the connection.
func TestCreditFromStreamsThatAreOver(t *testing.T) {
	const messages, size = 15, 4000
	down := func(n int) func(*Stream) error {
		return func(st *Stream) error {
			for range n {
				if err := st.SendWait(bufferOf(strings.Repeat("a", size))); err != nil {
					return err
				}
			}
			return nil
		}
	}
	for _, drops := range []bool{false, true} {
		proceed, sends := make(chan struct{}), make(chan *Stream, 1)
		p := newCouple(t, Config{}, ClientConfig{Config: Config{SessionBudget: 100_000, HeaderTimeout: time.Hour}, MaxConns: 1}, map[string]Method{
			"/c/Down": {Go: down(messages)},
			"/c/Later": {Go: func(st *Stream) error {
				if err := st.SendHeader(nil); err != nil {
					return err
				}
				<-proceed
				sends <- st
				return st.SendWait(bufferOf(strings.Repeat("b", messages*size)))
			}},
		})
		call := func(path string) (*Stream, context.CancelFunc) {
			ctx, cancel := context.WithCancel(soon(t))
			st, err := p.cli.Call(ctx, path, CallOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return st, cancel
		}
		later, end := call("/c/Later")
		defer end()
		if _, err := later.WaitHeader(); err != nil {
			t.Fatal(err)
		}
		var all []*Stream
		var ends []context.CancelFunc
		for range 2 {
			st, end := call("/c/Down")
			<-st.Context().Done()
			all, ends = append(all, st), append(ends, end)
		}
		until.Until(t, "the window is withheld", func() bool { return p.cli.Stats().Withheld > 0 })
		close(proceed)
		far := <-sends
		until.Until(t, "the window is used up", func() bool {
			used := make(chan bool, 1)
			return far.Post(func(st *Stream) { used <- st.sess.core.ConnQuota() == 0 }) == nil && <-used
		})
		for i, st := range all {
			if drops {
				ends[i]()
				continue
			}
			n := 0
			for _, err := st.Recv(); err != io.EOF; _, err = st.Recv() {
				if n++; err != nil {
					t.Fatal(err)
				}
			}
			if n != messages {
				t.Errorf("%d messages", n)
			}
		}
		if m, err := later.Recv(); len(m) != messages*size {
			t.Fatalf("dropped %v: the other stream has %d bytes, %v", drops, len(m), err)
		}
		if _, err := later.Recv(); err != io.EOF {
			t.Error(err)
		}
	}
}
