package echo

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/await"
	"github.com/weir-go/weir/internal/leak"
	"github.com/weir-go/weir/internal/ports"
)

func TestMain(m *testing.M) { leak.Main(m) }

// onEachFace runs test as a subtest for each face, with a server that cfg says
// how to make; its Face is filled in.
func onEachFace(t *testing.T, cfg Config, test func(t *testing.T, s *Server)) {
	for _, face := range []Face{Callback, Blocking, Std} {
		t.Run(string(face), func(t *testing.T) {
			cfg := cfg
			cfg.Face = face
			s, err := Serve(cfg)
			require.NoError(t, err)
			defer func() { require.NoError(t, s.Close()) }()
			test(t, s)
		})
	}
}

// dial connects to s. Nothing that the test does with the connection may take
// longer than a minute.
func dial(t *testing.T, s *Server) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(time.Minute)))
	return c.(*net.TCPConn)
}

// roundtrip sends m and waits for it.
func roundtrip(t *testing.T, c net.Conn, m string) {
	t.Helper()
	_, err := io.WriteString(c, m)
	require.NoError(t, err)
	got := make([]byte, len(m))
	_, err = io.ReadFull(c, got)
	require.NoError(t, err)
	require.Equal(t, m, string(got))
}

func TestEchoes(t *testing.T) {
	onEachFace(t, Config{}, func(t *testing.T, s *Server) {
		c := dial(t, s)
		roundtrip(t, c, "hello")
		roundtrip(t, c, "again")
		require.Equal(t, 1, s.Open())
		require.NoError(t, c.CloseWrite())
		rest, err := io.ReadAll(c)
		require.NoError(t, err)
		require.Empty(t, rest)
	})
}

// A peer may send all it has, finish, and only then begin to read: it is owed
// everything. The amount doesn't fit into the buffers between the two, so the
// server has to stop reading meanwhile.
func TestPeerThatFinishesFirstGetsEverything(t *testing.T) {
	onEachFace(t, Config{}, func(t *testing.T, s *Server) {
		sent := make([]byte, 20<<20)
		r := rand.NewChaCha8([32]byte{1})
		r.Read(sent)
		c := dial(t, s)
		var writer sync.WaitGroup
		writer.Go(func() {
			c.Write(sent)
			c.CloseWrite()
		})
		got, err := io.ReadAll(c)
		require.NoError(t, err)
		require.True(t, bytes.Equal(sent, got))
		writer.Wait()
	})
}

// A peer that sends and never reads is stopped by TCP, and what the server
// holds for it stays bounded: by the high-water mark and the input limit.
func TestPeerThatNeverReadsIsBounded(t *testing.T) {
	const mark, limit = 64 << 10, 64 << 10
	options := conn.Options{HighWater: mark, InLimit: limit}
	onEachFace(t, Config{Config: conn.Config{Options: options}}, func(t *testing.T, s *Server) {
		c := dial(t, s)
		fill(t, c)
		if rt := s.Runtime(); rt != nil {
			// Storage comes in pieces of up to twice what is in them.
			require.LessOrEqual(t, rt.Stats().BudgetUsed, int64(2*(mark+limit)))
		}
		roundtrip(t, dial(t, s), "others are served")
	})
}

// fill writes until nothing more fits anywhere between here and the server: no
// byte could be written several times in a row, between which others had turns.
func fill(t *testing.T, c net.Conn) {
	t.Helper()
	chunk := make([]byte, 64<<10)
	for none := 0; none < 5; none++ {
		c.SetWriteDeadline(time.Now().Add(40 * time.Millisecond))
		n, err := c.Write(chunk)
		if err != nil {
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		}
		if n > 0 {
			none = 0
		}
	}
}

func TestManyConnections(t *testing.T) {
	onEachFace(t, Config{}, func(t *testing.T, s *Server) {
		const conns, rounds = 50, 20
		var all sync.WaitGroup
		for i := range conns {
			c := dial(t, s)
			all.Go(func() {
				m := bytes.Repeat([]byte{byte(i)}, 100+i)
				got := make([]byte, len(m))
				for range rounds {
					c.Write(m)
					io.ReadFull(c, got)
					if !bytes.Equal(m, got) {
						t.Errorf("connection %d: wrong bytes", i)
						return
					}
				}
				c.Close()
			})
		}
		all.Wait()
		require.NoError(t, s.Shutdown(t.Context()))
		totals := s.Totals()
		require.Equal(t, uint64(conns), totals.Conns)
		require.Equal(t, totals.BytesIn, totals.BytesOut)
		require.Equal(t, uint64(rounds*(100*conns+conns*(conns-1)/2)), totals.BytesIn)
	})
}

// Shutdown sends back what had arrived, to a peer that is slow to read, before
// it closes.
func TestShutdownDrains(t *testing.T) {
	onEachFace(t, Config{At: conn.TCP(ports.Hold(t))}, func(t *testing.T, s *Server) {
		idle, slow := dial(t, s), dial(t, s)
		roundtrip(t, idle, "hello")
		require.NoError(t, slow.SetReadBuffer(64<<10))
		sent := make([]byte, 300<<10)
		rand.NewChaCha8([32]byte{2}).Read(sent)
		_, err := slow.Write(sent)
		require.NoError(t, err)
		waitArrived(t, slow)

		done := make(chan error)
		go func() { done <- s.Shutdown(context.Background()) }()
		_, err = io.ReadAll(idle)
		require.NoError(t, err, "an idle connection is closed in order, not reset")
		rest, err := io.ReadAll(slow)
		require.NoError(t, err)
		require.True(t, bytes.Equal(sent, rest))
		require.NoError(t, <-done)

		_, err = net.Dial("tcp", s.Addr().String())
		require.Error(t, err, "nobody listens any more")
		require.Zero(t, s.Open())
	})
}

// A peer that never reads does not hold Shutdown up for ever.
func TestShutdownForces(t *testing.T) {
	onEachFace(t, Config{}, func(t *testing.T, s *Server) {
		c := dial(t, s)
		fill(t, c)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, s.Shutdown(ctx), context.DeadlineExceeded)
		require.Zero(t, s.Open())
	})
}

func TestCloseCutsOff(t *testing.T) {
	onEachFace(t, Config{}, func(t *testing.T, s *Server) {
		c := dial(t, s)
		roundtrip(t, c, "hello")
		require.NoError(t, s.Close())
		_, err := c.Read(make([]byte, 1))
		require.Error(t, err)
		require.NoError(t, s.Close(), "a second time does nothing")
	})
}

func TestSilentConnectionsAreClosed(t *testing.T) {
	onEachFace(t, Config{MaxIdle: 20 * time.Millisecond}, func(t *testing.T, s *Server) {
		c := dial(t, s)
		_, err := io.ReadAll(c) // returns, although this end says nothing
		require.NoError(t, err)
	})
}

func TestUnixSocket(t *testing.T) {
	at := conn.Unix(t.TempDir() + "/echo")
	onEachFace(t, Config{At: at}, func(t *testing.T, s *Server) {
		require.Equal(t, at, s.Addr())
		c, err := net.Dial("unix", at.Path)
		require.NoError(t, err)
		defer c.Close()
		roundtrip(t, c, "hello")
	})
	_, err := os.Stat(at.Path)
	require.ErrorIs(t, err, os.ErrNotExist, "whoever listened there has removed it")
}

// Sockets that somebody else opened are served like our own.
func TestHandedOverSockets(t *testing.T) {
	for _, face := range []Face{Callback, Blocking, Std} {
		t.Run(string(face), func(t *testing.T) {
			var sockets []conn.ListenFD
			var addrs []string
			for range 2 {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				require.NoError(t, err)
				f, err := l.(*net.TCPListener).File()
				require.NoError(t, err)
				addrs = append(addrs, l.Addr().String())
				require.NoError(t, l.Close())
				sockets = append(sockets, conn.ListenFD{FD: dup(t, f)})
			}
			s, err := Serve(Config{Face: face, Sockets: sockets})
			require.NoError(t, err)
			require.Equal(t, addrs[0], s.Addr().String())
			for _, addr := range addrs {
				c, err := net.Dial("tcp", addr)
				require.NoError(t, err)
				roundtrip(t, c, "hello")
				c.Close()
			}
			require.NoError(t, s.Close())
		})
	}
}

func TestServeSaysWhatIsWrong(t *testing.T) {
	_, err := Serve(Config{Face: "sideways"})
	require.ErrorContains(t, err, "sideways")

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	for _, face := range []Face{Callback, Blocking, Std} {
		_, err := Serve(Config{Face: face, At: conn.TCP(taken.Addr().(*net.TCPAddr).AddrPort())})
		require.ErrorContains(t, err, "address already in use", "%s", face)
		_, err = Serve(Config{Face: face, Sockets: []conn.ListenFD{{FD: notListening(t), Name: "x"}}})
		require.ErrorContains(t, err, "(x)", "%s", face)
	}
}

// An idle connection has no goroutine on the callback face.
func TestIdleConnectionsHaveNoGoroutine(t *testing.T) {
	s, err := Serve(Config{})
	require.NoError(t, err)
	defer s.Close()
	roundtrip(t, dial(t, s), "hello")
	const conns = 100
	before := runtime.NumGoroutine()
	for range conns {
		roundtrip(t, dial(t, s), "hello")
	}
	// Those of other things that come and go are few.
	require.Less(t, runtime.NumGoroutine(), before+conns/2)
}

// Nor a buffer, on the two faces of the runtime.
func TestIdleConnectionsHaveNoBuffer(t *testing.T) {
	const conns, size = 20, 1 << 20
	for _, face := range []Face{Callback, Blocking} {
		t.Run(string(face), func(t *testing.T) {
			s, err := Serve(Config{Face: face, BufferSize: size})
			require.NoError(t, err)
			defer s.Close()
			for range conns {
				roundtrip(t, dial(t, s), "hello")
			}
			await.Until(t, "less is held than half a buffer for each", func() bool {
				var m runtime.MemStats
				runtime.GC() // what pools keep goes with the second one
				runtime.ReadMemStats(&m)
				return m.HeapAlloc < conns*size/2
			})
			require.Equal(t, conns, s.Open())
		})
	}
}

func Example() {
	s, err := Serve(Config{At: conn.TCP(netip.MustParseAddrPort("127.0.0.1:0"))})
	if err != nil {
		panic(err)
	}
	defer s.Close()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		panic(err)
	}
	defer c.Close()
	io.WriteString(c, "hello")
	answer := make([]byte, 5)
	io.ReadFull(c, answer)
	os.Stdout.Write(answer)
	// Output: hello
}
