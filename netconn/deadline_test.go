package netconn_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/netconn"
)

var past = time.Unix(1, 0)

// TestPastDeadlineWakesRead is what net/http does to end its background read.
func TestPastDeadlineWakesRead(t *testing.T) {
	calls := map[string]func(c *netconn.Conn) error{
		"Read":     func(c *netconn.Conn) error { return discard(c.Read(make([]byte, 1))) },
		"WaitRead": func(c *netconn.Conn) error { return c.WaitRead() },
		"ReadPooled": func(c *netconn.Conn) error {
			_, err := c.ReadPooled(new(conn.BufferPool))
			return err
		},
	}
	each(t, func(t *testing.T, rt *conn.Runtime, network string) {
		for name, call := range calls {
			t.Run(name, func(t *testing.T) {
				client, server := pair(t, rt, network)
				for range 20 {
					var g tasks
					g.do(func() error { return lateOnly(call(client)) })
					parked(t, "netconn.(*Conn)."+name, 1)
					ok(t, client.SetReadDeadline(past))
					g.wait(t)
					ok(t, client.SetReadDeadline(time.Time{}))
				}
				echoOnce(t, client, server)
			})
		}
	})
}

// TestPastDeadlineRace sets the deadline at any moment of a Read: it always
// ends, and nothing of the stream is lost.
func TestPastDeadlineRace(t *testing.T) {
	each(t, func(t *testing.T, rt *conn.Runtime, network string) {
		client, server := pair(t, rt, network)
		for range 1000 {
			var g tasks
			g.do(func() error { return lateOnly(discard(client.Read(make([]byte, 1)))) })
			ok(t, client.SetReadDeadline(past))
			g.wait(t)
			ok(t, client.SetReadDeadline(time.Time{}))
		}
		echoOnce(t, client, server)
	})
}

func lateOnly(err error) error {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("got %v, want os.ErrDeadlineExceeded", err)
	}
	return nil
}

func echoOnce(t testing.TB, client, server *netconn.Conn) {
	t.Helper()
	var g tasks
	g.do(func() error {
		p := make([]byte, 5)
		if _, err := io.ReadFull(server, p); err != nil {
			return err
		}
		_, err := server.Write(p)
		return err
	})
	ok(t, ask(client, []byte("hello")))
	g.wait(t)
}

// TestDeadlineMoves: a Read in flight follows its deadline.
func TestDeadlineMoves(t *testing.T) {
	each(t, func(t *testing.T, rt *conn.Runtime, network string) {
		client, server := pair(t, rt, network)
		t.Run("earlier", func(t *testing.T) {
			ok(t, client.SetReadDeadline(time.Now().Add(time.Hour)))
			var g tasks
			g.do(func() error { return lateOnly(discard(client.Read(make([]byte, 1)))) })
			parked(t, "netconn.(*Conn).Read", 1)
			ok(t, client.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
			g.wait(t)
		})
		t.Run("away", func(t *testing.T) {
			// Timers of one loop fire in order: when the other connection's has,
			// the one that was taken away would have.
			rt := start(t, conn.Config{Loops: 1})
			client, server := pair(t, rt, network)
			other, _ := pair(t, rt, network)
			first := time.Now().Add(10 * time.Millisecond)
			ok(t, client.SetReadDeadline(first))
			var g tasks
			g.do(func() error { return discard(io.ReadFull(client, make([]byte, 4))) })
			ok(t, client.SetReadDeadline(time.Time{}))
			ok(t, other.SetReadDeadline(first.Add(time.Millisecond)))
			ok(t, lateOnly(discard(other.Read(make([]byte, 1)))))
			ok(t, discard(server.Write([]byte("late"))))
			g.wait(t)
		})
		t.Run("used again", func(t *testing.T) {
			for range 3 {
				ok(t, client.SetReadDeadline(time.Now().Add(time.Millisecond)))
				ok(t, lateOnly(discard(client.Read(make([]byte, 1)))))
			}
			ok(t, client.SetReadDeadline(time.Now().Add(time.Hour)))
			echoOnce(t, client, server)
		})
	})
}

// TestDeadlinesAreApart: the reader's is not the writer's.
func TestDeadlinesAreApart(t *testing.T) {
	each(t, func(t *testing.T, rt *conn.Runtime, network string) {
		client, server := pair(t, rt, network)
		ok(t, client.SetReadDeadline(past))
		_, err := client.Write([]byte("a"))
		ok(t, err)
		ok(t, client.SetReadDeadline(time.Time{}))
		ok(t, client.SetWriteDeadline(past))
		_, err = server.Write([]byte("b"))
		ok(t, err)
		_, err = io.ReadFull(client, make([]byte, 1))
		ok(t, err)
		ok(t, lateOnly(discard(client.Write([]byte("c")))))
	})
}

// TestWriteDeadlineWithFullBuffers: the count of a Write that ran into its
// deadline is exact, and the stream goes on where it stopped.
func TestWriteDeadlineWithFullBuffers(t *testing.T) {
	each(t, func(t *testing.T, rt *conn.Runtime, network string) {
		client, server := pair(t, rt, network)
		message := bytesOf(3, 16<<20)
		ok(t, client.SetWriteDeadline(time.Now().Add(30*time.Millisecond)))
		n, err := client.Write(message)
		ok(t, lateOnly(err))
		if n == 0 || n == len(message) {
			t.Fatalf("%d bytes were taken", n)
		}
		ok(t, client.SetWriteDeadline(time.Time{}))
		var g tasks
		g.do(func() error {
			got, err := io.ReadAll(server)
			if err == nil && string(got) != string(message) {
				err = errors.New("another stream than was sent")
			}
			return err
		})
		_, err = client.Write(message[n:])
		ok(t, err)
		ok(t, client.CloseWrite())
		g.wait(t)
	})
}

// TestPastWriteDeadlineWakesWrite: as for reading.
func TestPastWriteDeadlineWakesWrite(t *testing.T) {
	each(t, func(t *testing.T, rt *conn.Runtime, network string) {
		client, _ := pair(t, rt, network)
		fillBuffers(t, client)
		for range 20 {
			var g tasks
			g.do(func() error { return lateOnly(discard(client.Write(make([]byte, 1<<20)))) })
			parked(t, "netconn.(*Conn).Write", 1)
			ok(t, client.SetDeadline(past))
			g.wait(t)
			ok(t, client.SetDeadline(time.Time{}))
		}
	})
}

// TestWaitReadTellsTheTruth: after it a Read does not wait, and without bytes
// it does not return.
func TestWaitReadTellsTheTruth(t *testing.T) {
	each(t, func(t *testing.T, rt *conn.Runtime, network string) {
		client, server := pair(t, rt, network)
		p := make([]byte, 16)
		for range 100 {
			// Nothing there: it must wait, also right after a Read that took
			// all there was.
			var g tasks
			g.do(func() error { return client.WaitRead() })
			parked(t, "netconn.(*Conn).WaitRead", 1)
			_, err := server.Write([]byte("x"))
			ok(t, err)
			g.wait(t)
			n, err := client.Read(p)
			ok(t, err)
			want(t, n, 1)
		}
		ok(t, server.Close())
		ok(t, client.WaitRead())
		_, err := client.Read(p)
		want(t, err, io.EOF)
	})
}

// lender counts the buffers that are out.
type lender struct {
	conn.BufferPool
	out, lent atomic.Int32
}

func (l *lender) Get() []byte  { l.out.Add(1); l.lent.Add(1); return l.BufferPool.Get() }
func (l *lender) Put(p []byte) { l.out.Add(-1); l.BufferPool.Put(p) }

// TestReadPooledHoldsNothing: while it waits no buffer is out, and it brings
// what Read would.
func TestReadPooledHoldsNothing(t *testing.T) {
	each(t, func(t *testing.T, rt *conn.Runtime, network string) {
		client, server := pair(t, rt, network)
		pool := &lender{BufferPool: conn.BufferPool{Size: 512}}
		message := bytesOf(13, 100_000)
		var got []byte
		var g tasks
		g.do(func() error {
			for {
				p, err := client.ReadPooled(pool)
				if err != nil {
					return unlessEOF(err)
				}
				got = append(got, p...)
				pool.Put(p)
			}
		})
		parked(t, "netconn.(*Conn).ReadPooled", 1)
		want(t, pool.out.Load(), int32(0))
		ok(t, discard(server.Write(message[:10])))
		until(t, "it has read", func() bool { return pool.lent.Load() > 0 })
		parked(t, "netconn.(*Conn).ReadPooled", 1)
		want(t, pool.out.Load(), int32(0))
		ok(t, discard(server.Write(message[10:])))
		ok(t, server.Close())
		g.wait(t)
		want(t, string(got) == string(message), true)
		want(t, pool.out.Load(), int32(0))
	})
}

func unlessEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}
