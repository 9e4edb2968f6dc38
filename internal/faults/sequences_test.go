//go:build linux && faults

package faults

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/await"
	"github.com/weir-go/weir/internal/leak"
	"github.com/weir-go/weir/internal/ports"
	"github.com/weir-go/weir/internal/sock"
)

// rig is a runtime with bounds, listeners on it that do what their peers say, and
// a listener of package net's that echoes.
type rig struct {
	b            *bounds.Bounds
	rt           *conn.Runtime
	tcp, unix    *conn.Listener
	echo         net.Listener
	work         sync.WaitGroup // what waits on blocking faces, and the echo's
	detached     atomic.Uint64
	served       atomic.Int64 // exchanges that came to their end
	refused, cut atomic.Int64 // sequences that ended before they had begun, or in the middle
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := new(rig)
	var err error
	must := func(e error) {
		t.Helper()
		if e != nil {
			t.Fatal(e)
		}
	}
	quick := bounds.Rules{
		Shed:     bounds.Rule{Enter: 0.85, Leave: 0.75, Calm: time.Millisecond},
		Critical: bounds.Rule{Enter: 0.90, Leave: 0.80, Calm: time.Millisecond},
		Hard:     bounds.Rule{Enter: 0.97, Leave: 0.90, Calm: time.Millisecond},
	}
	r.b, err = bounds.New(bounds.Config{Rules: quick, Loads: quick, Ramp: -1})
	must(err)
	r.rt, err = conn.Start(conn.Config{Loops: 2, Bounds: r.b, CloseTimeout: 50 * time.Millisecond, SlowCallback: -1})
	must(err)
	// Its peers still come when it has ended, and are not to find somebody else.
	r.tcp, err = r.rt.Listen(conn.TCP(ports.Hold(t)), r.serve)
	must(err)
	r.unix, err = r.rt.Listen(conn.Unix(fmt.Sprintf("@weir-faults-%d-%d", os.Getpid(), rand.Uint64())), r.serve)
	must(err)
	r.echo, err = net.Listen("tcp", "127.0.0.1:0")
	must(err)
	r.work.Go(r.echoes)
	return r
}

// echoes is the other end of the runtime's own connections. A dot now and then
// has them look again at what they were told is not there.
func (r *rig) echoes() {
	for {
		nc, err := r.echo.Accept()
		if err != nil {
			return
		}
		r.work.Go(func() {
			defer nc.Close()
			p := make([]byte, 4096)
			for idle := 0; idle < 1000; {
				nc.SetReadDeadline(time.Now().Add(nudge))
				n, err := nc.Read(p)
				if errors.Is(err, os.ErrDeadlineExceeded) {
					idle++
					p[0], n, err = '.', 1, nil
				}
				if err == nil {
					_, err = nc.Write(p[:n])
				}
				if err != nil {
					return
				}
			}
		})
	}
}

// nudge is how long somebody waits before he says something that has the other
// side look again.
const nudge = 20 * time.Millisecond

// lookAgain has a listener that was told that nobody is there look again.
func lookAgain(network, address string) {
	if nc, err := net.Dial(network, address); err == nil {
		nc.Close()
	}
}

// guest is a peer of the rig's listeners: it has back what it sends, until it
// sends a capital letter, which says how the connection is to go on, or to end.
type guest struct{ r *rig }

func (g guest) Data(c *conn.Conn) error {
	p := c.Peek()
	end := slices.IndexFunc(p, isOrder)
	if end < 0 {
		n, err := c.Write(p)
		c.Discard(n)
		if err == conn.ErrFull {
			err = nil
		}
		return err
	}
	if _, err := c.Write(p[:end]); err != nil {
		return err
	}
	order := p[end]
	c.Discard(end + 1)
	return g.obey(c, order)
}

func (g guest) obey(c *conn.Conn, order byte) error {
	switch order {
	case 'A':
		return c.Abort()
	case 'B':
		g.r.block(c.Block())
	case 'C':
		return c.Close()
	case 'D':
		fd, left, err := c.Detach()
		if err != nil {
			return err
		}
		g.r.detached.Add(1)
		syscall.Write(fd, left)
		syscall.Close(fd)
	case 'E':
		return io.ErrNoProgress
	case 'G':
		return c.Go(func() {}, func() { c.Write([]byte("g")) })
	case 'H':
		return c.CloseWrite()
	case 'P':
		panic("asked for")
	case 'Q':
		return c.Post(func(c *conn.Conn) { c.CloseWith(nil) })
	}
	return nil
}

func (guest) Drained(*conn.Conn) {}

func (guest) Closed(*conn.Conn, error) {}

func (r *rig) serve(c *conn.Conn) conn.Handler {
	switch rand.IntN(8) {
	case 0:
		r.block(c.Block())
		return nil
	case 1:
		return nil
	}
	return guest{r}
}

// block echoes on the blocking face, with a deadline now and then.
func (r *rig) block(b *conn.Blocking) {
	r.work.Go(func() {
		defer b.Close()
		p := make([]byte, 512)
		for {
			n, err := b.Read(p)
			if err == nil {
				_, err = b.Write(p[:n])
			}
			if err != nil {
				return
			}
		}
	})
}

const orders = "ABCDEGHPQ"

func isOrder(c byte) bool { return 'A' <= c && c <= 'Z' }

// TestSequences: whatever calls fail, and however, each connection comes to an
// end that both its sides see, what comes back is what was sent, and at the end
// of each round nothing is left: no connection, no token of the bounds, no
// descriptor, no byte of the budget.
func TestSequences(t *testing.T) {
	leak.FDs(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	eras, rounds := 2, 8
	if long() {
		eras, rounds = 10, 25
	}
	const together = 40
	var hits [sock.Calls]atomic.Int64
	var cuts atomic.Int64
	var served, refused, cut int64
	for era := range eras {
		r := newRig(t)
		before, err := sock.InUse()
		if err != nil {
			t.Fatal(err)
		}
		for round := range rounds {
			k := era*rounds + round
			hurt{rate: []int{3, 10, 30, 100}[k%4], short: k%8 == 6, hits: &hits, cuts: &cuts}.inject()
			r.round(t, together, seed+uint64(k*together))
			sock.Inject(nil)
			await.Until(t, "nothing is left of a round", func() bool {
				s := r.rt.Stats()
				open, err := sock.InUse()
				return s.Conns == 0 && s.BudgetUsed == 0 && s.Working == 0 && r.b.Stats().Taken == 0 && err == nil && open <= before
			})
		}
		r.end(t)
		served, refused, cut = served+r.served.Load(), refused+r.refused.Load(), cut+r.cut.Load()
	}
	t.Logf("%d sequences: %d as they were meant to be, %d cut short, %d refused; %d sends cut", eras*rounds*together, served, cut, refused, cuts.Load())
	for c := range hits {
		if n := hits[c].Load(); n == 0 || long() {
			t.Logf("%s failed %d times", names[c], n)
		}
	}
	if cuts.Load() == 0 || served == 0 {
		t.Error("too little has failed, or too much")
	}
}

// round runs sequences at once.
func (r *rig) round(t *testing.T, together int, seed uint64) {
	t.Helper()
	var all sync.WaitGroup
	for i := range together {
		n := rand.New(rand.NewPCG(seed+uint64(i), 0))
		all.Go(func() {
			if err := r.sequence(n); err != nil {
				t.Errorf("sequence %d: %v", seed+uint64(i), err)
			}
		})
	}
	all.Wait()
}

// end ends the runtime in the middle of a last round.
func (r *rig) end(t *testing.T) {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.round(t, 20, rand.Uint64())
	}()
	r.rt.Close()
	<-ended
	r.echo.Close()
	r.work.Wait()
	s, b := r.rt.Stats(), r.b.Stats()
	if s.Conns != 0 || s.BudgetUsed != 0 || s.Opened != s.Closed+r.detached.Load() || b.Taken != 0 || b.Overdrawn != 0 {
		t.Errorf("at the end: opened %d, closed %d, detached %d, open %d, %d bytes; %d descriptors, %d given back too often",
			s.Opened, s.Closed, r.detached.Load(), s.Conns, s.BudgetUsed, b.Taken, b.Overdrawn)
	}
	if err := r.b.Close(); err != nil {
		t.Error(err)
	}
}
