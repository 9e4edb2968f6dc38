package drive

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-go/weir/conn"
)

// wrong serves with package net: each connection is given to serve, which has
// something wrong with it.
func wrong(t *testing.T, serve func(c net.Conn)) conn.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return conn.TCP(l.Addr().(*net.TCPAddr).AddrPort())
}

// messages calls each with one message of 64 bytes after the other and writes
// what it returns.
func messages(each func(n int, m []byte) []byte) func(net.Conn) {
	return func(c net.Conn) {
		m := make([]byte, 64)
		for n := 0; ; n++ {
			if _, err := io.ReadFull(c, m); err != nil {
				return
			}
			if _, err := c.Write(each(n, m)); err != nil {
				return
			}
		}
	}
}

const wrongAt = 20 // the message that the wrong servers get wrong

func TestWrongBytesAreFound(t *testing.T) {
	for name, each := range map[string]func(n int, m []byte) []byte{
		"one bit": func(n int, m []byte) []byte {
			if n == wrongAt {
				m[63] ^= 0x10
			}
			return m
		},
		"a byte lost": func(n int, m []byte) []byte {
			if n == wrongAt {
				return m[1:]
			}
			return m
		},
		"a byte more": func(n int, m []byte) []byte {
			if n == wrongAt {
				return append(m[:64:64], m[63])
			}
			return m
		},
		"a message twice": func(n int, m []byte) []byte {
			if n == wrongAt {
				return append(m[:64:64], m...)
			}
			return m
		},
		"two bytes swapped": func(n int, m []byte) []byte {
			if n == wrongAt {
				i := 0
				for m[i] == m[i+1] {
					i++
				}
				m[i], m[i+1] = m[i+1], m[i]
			}
			return m
		},
		"a buffer's worth too late": func() func(int, []byte) []byte {
			first := make([]byte, 0, 4096)
			return func(n int, m []byte) []byte {
				if len(first) < cap(first) {
					first = append(first, m...)
					return m
				}
				return first[:64] // what was sent 4 KiB ago
			}
		}(),
	} {
		for _, pipeline := range []int{1, 16} {
			t.Run(name, func(t *testing.T) {
				to := wrong(t, messages(each))
				r, err := Run(t.Context(), runtimeFor(t, 1), Config{To: to, Pipeline: pipeline, For: time.Hour})
				require.NoError(t, err)
				require.Equal(t, uint64(1), r.Mismatches)
				require.Zero(t, r.Errors)
				require.ErrorIs(t, r.Failure, ErrMismatch)
			})
		}
	}
}

// Bytes of another connection are right bytes in the wrong place.
func TestForeignBytesAreFound(t *testing.T) {
	mixed := make(chan []byte, 1)
	mixed <- bytes.Repeat([]byte{'x'}, 64)
	to := wrong(t, messages(func(n int, m []byte) []byte {
		if n != wrongAt {
			return m
		}
		other := <-mixed
		mixed <- bytes.Clone(m)
		return other
	}))
	r, err := Run(t.Context(), runtimeFor(t, 1), Config{To: to, Conns: 8, For: time.Hour})
	require.NoError(t, err)
	require.Equal(t, uint64(8), r.Mismatches)
}

// More than was sent is wrong even if it continues the stream as it should.
func TestSurplusIsFound(t *testing.T) {
	for name, config := range map[string]Config{"echo": {}, "churn": {Mode: Churn}} {
		t.Run(name, func(t *testing.T) {
			pattern := newPattern(0, 64)
			to := wrong(t, func(c net.Conn) {
				io.CopyN(io.Discard, c, 64)
				at := start(0)
				c.Write(pattern.next(at, 65))
				io.Copy(io.Discard, c)
			})
			config.To, config.For = to, time.Hour
			r, err := Run(t.Context(), runtimeFor(t, 1), config)
			require.NoError(t, err)
			require.NotZero(t, r.Mismatches)
			require.ErrorIs(t, r.Failure, ErrMismatch)
			require.ErrorContains(t, r.Failure, "more than was sent")
		})
	}
}

func TestLostConnectionsAreCounted(t *testing.T) {
	for name, end := range map[string]func(c *net.TCPConn){
		"closed": func(c *net.TCPConn) { c.Close() },
		"reset":  func(c *net.TCPConn) { c.SetLinger(0); c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			to := wrong(t, func(c net.Conn) {
				io.CopyN(c, c, 64*wrongAt)
				io.CopyN(io.Discard, c, 64) // so that a close has nothing unread behind it
				end(c.(*net.TCPConn))
			})
			r, err := Run(t.Context(), runtimeFor(t, 1), Config{To: to, Conns: 3, For: time.Hour})
			require.NoError(t, err)
			require.Equal(t, uint64(3), r.Errors)
			require.Zero(t, r.Mismatches)
			if name == "closed" {
				require.ErrorIs(t, r.Failure, ErrEnded)
			} else {
				require.ErrorContains(t, r.Failure, "reset")
			}
			require.Equal(t, uint64(3*wrongAt), r.Requests)
		})
	}
}

// A server that swallows a message leaves its connection waiting; the others go
// on, and the driver doesn't wait for ever.
func TestSwallowedMessagesAreCounted(t *testing.T) {
	for name, config := range map[string]Config{
		"echo":      {Conns: 2},
		"pipeline":  {Conns: 2, Pipeline: 8},
		"open loop": {Conns: 2, Rate: 1000},
		"churn":     {Conns: 2, Mode: Churn},
		"idle":      {Conns: 2, Mode: Idle},
	} {
		t.Run(name, func(t *testing.T) {
			sent := make(chan struct{}, 2)
			to := wrong(t, func(c net.Conn) {
				io.CopyN(io.Discard, c, 1)
				sent <- struct{}{}
				io.Copy(io.Discard, c)
			})
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-sent
				<-sent
				if config.Mode != Idle {
					cancel() // both connections have a message out
				}
			}()
			config.To, config.Patience = to, short50
			r, err := Run(ctx, runtimeFor(t, 2), config)
			if config.Mode == Idle {
				require.ErrorIs(t, err, ErrStuck) // no connection is left to hold
				return
			}
			require.NoError(t, err)
			require.Equal(t, uint64(2), r.Errors)
			require.ErrorIs(t, r.Failure, ErrStuck)
			require.Zero(t, r.Requests)
			require.Zero(t, r.BytesIn)
		})
	}
}

// An open loop against a server that is slower than it says so.
func TestOpenLoopTellsWhatItCouldNotSend(t *testing.T) {
	release := make(chan struct{})
	open := sync.OnceFunc(func() { close(release) })
	to := wrong(t, func(c net.Conn) {
		<-release
		io.Copy(c, c)
	})
	r, err := Run(t.Context(), runtimeFor(t, 1), Config{
		To: to, Conns: 2, Rate: 200_000, For: short50, // more than come back before the window has been looked at
		Progress: func(Snapshot) { open() }, // at the window's end
	})
	require.NoError(t, err)
	require.NoError(t, r.Failure)
	require.NotZero(t, r.Unsent)
	require.NotZero(t, r.Latency.Count(), "what was sent came back in the end")
	require.GreaterOrEqual(t, r.Latency.Max(), short50, "and had waited since it was due")
}
