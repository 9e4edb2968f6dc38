package h2

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// end is the owner of one of two Cores that talk to each other. What it sends
// on a stream is a pattern, so that a byte which is lost, doubled or out of
// place is seen.
type end struct {
	t      *testing.T
	core   Core[*thread]
	open   []*thread // that this end still wants to do something with
	rest   []byte    // received and not consumed by Feed
	enc    Encoder
	client bool
	reqs   int
	resets int
	shown  int
}

type thread struct {
	Stream[*thread]
	sent, got int
	inHand    int
	over      bool
}

func pattern(id uint32, at int) byte { return byte(int(id)*31 + at*7 + at>>8) }

func (e *end) Request(b *Block, _ bool) {
	st := &thread{}
	st.Owner = st
	e.core.Accept(&st.Stream)
	if b.Path != fmt.Sprint("/", st.ID()) {
		e.t.Fatalf("stream %d has path %q", st.ID(), b.Path)
	}
	e.open = append(e.open, st)
	e.reqs++
}

func (e *end) Headers(*Stream[*thread], *Block, bool) {}

func (e *end) Data(s *Stream[*thread], p []byte, _ bool) {
	st := s.Owner
	for _, b := range p {
		if want := pattern(st.ID(), st.got); b != want {
			e.t.Fatalf("stream %d, byte %d is %d, want %d", st.ID(), st.got, b, want)
		}
		st.got++
	}
	st.inHand += len(p)
	e.shown += len(p)
}

func (e *end) Reset(s *Stream[*thread], code Code, remote bool, why string) {
	if !remote {
		e.t.Fatalf("stream %d was reset for %s", s.ID(), why)
	}
	s.Owner.over = true
	e.resets++
}

func (e *end) Window(*Stream[*thread])                  {}
func (e *end) Settings(s *PeerSettings)                 { e.enc.SetTableSize(s.HeaderTable) }
func (e *end) Ping(data [8]byte, ack bool)              {}
func (e *end) GoAway(last uint32, c Code, debug []byte) { e.t.Fatalf("GOAWAY %v %s", c, debug) }

// act does something that an owner may do.
func (e *end) act(r *rand.Rand) {
	c := &e.core
	if e.client && r.IntN(4) == 0 && c.CanOpen() == nil {
		st := &thread{}
		st.Owner = st
		var block []byte
		for _, f := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", fmt.Sprint("/", c.nextID)}, {"user-agent", "weir"}} {
			block = e.enc.Append(block, f[0], f[1], false)
		}
		if err := c.Open(&st.Stream, block, r.IntN(8) == 0); err != nil {
			e.t.Fatal(err)
		}
		e.open = append(e.open, st)
	}
	if len(e.open) == 0 {
		return
	}
	i := r.IntN(len(e.open))
	st := e.open[i]
	if st.over || st.State() == Closed {
		c.ConsumeConn(st.inHand)
		c.Release(&st.Stream)
		e.open = append(e.open[:i], e.open[i+1:]...)
		return
	}
	switch r.IntN(20) {
	case 0:
		c.Reset(&st.Stream, Cancel)
	case 1, 2:
		if e.client {
			c.SendData(&st.Stream, nil, true)
		} else {
			e.answer(st)
			c.SendHeaders(&st.Stream, AppendField(nil, "grpc-status", "0"), true)
		}
	case 3:
		c.Ping([8]byte{})
	case 4:
		c.RaiseConn(c.connTarget + int32(r.IntN(5000)))
	case 9:
		c.Widen(&st.Stream, int32(r.IntN(100_000)), r.IntN(2) == 0)
		c.ConsumeConn(st.inHand)
		st.inHand = 0
	case 5, 6, 7, 8:
		c.Consume(&st.Stream, st.inHand)
		c.ConsumeConn(st.inHand)
		st.inHand = 0
	default:
		e.send(st, r)
	}
}

// answer begins the response.
func (e *end) answer(st *thread) {
	if !e.client && !st.Answered() {
		e.core.SendHeaders(&st.Stream, AppendIndexed(nil, IndexStatus200), false)
	}
}

func (e *end) send(st *thread, r *rand.Rand) {
	e.answer(st)
	n := min(r.IntN(3000), e.core.Quota(&st.Stream))
	if n <= 0 || st.LocalDone() {
		return
	}
	p := make([]byte, n)
	for i := range p {
		p[i] = pattern(st.ID(), st.sent+i)
	}
	if st.sent += n; r.IntN(2) == 0 {
		e.core.SendData(&st.Stream, p, false)
		return
	}
	e.core.SendDataHeader(&st.Stream, n, false)
	e.core.Out = append(e.core.Out, p...)
}

// take receives a piece of what is under way.
func (e *end) take(p []byte) {
	e.rest = append(e.rest, p...)
	n, err := e.core.Feed(1, e.rest)
	if err != nil {
		e.t.Fatal(err)
	}
	e.rest = append(e.rest[:0], e.rest[n:]...)
}

// TestTalk lets a client and a server talk at random over a wire that cuts
// their bytes anywhere, and then looks whether their books agree.
func TestTalk(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 3))
	reqs, bytes, resets := 0, 0, 0
	for range 20 {
		many := Rate{1 << 30, 1}
		cfg := Config{StreamWindow: 1 + int32(r.IntN(5000)), ConnWindow: 65535 + int32(r.IntN(5000)), MaxStreams: 15,
			Resets: many, Settings: many, Pings: many, Chores: many, HeaderTable: 1 + uint32(r.IntN(5000))}
		server := &end{t: t}
		server.core.Start(NewLimits(cfg), server)
		cfg.Client = true
		client := &end{t: t, client: true}
		client.core.Start(NewLimits(cfg), client)
		pair := [2]*end{client, server}
		var wire [2][]byte // to each
		for step := 0; step < 3000 || len(wire[0])+len(wire[1]) > 0; step++ {
			i := r.IntN(2)
			e := pair[i]
			if step < 3000 && (i == 1 || client.core.Ready()) { // it knows the limit
				e.act(r)
			}
			wire[1-i] = append(wire[1-i], e.core.Out...)
			e.core.Out = e.core.Out[:0]
			n := min(r.IntN(2000), len(wire[i]))
			e.take(wire[i][:n])
			wire[i] = wire[i][n:]
			wire[1-i] = append(wire[1-i], e.core.Out...)
			e.core.Out = e.core.Out[:0]
		}
		agree(t, client, server)
		reqs, bytes, resets = reqs+server.reqs, bytes+server.shown+client.shown, resets+server.resets+client.resets
	}
	if t.Logf("%d requests, %d bytes, %d resets", reqs, bytes, resets); reqs < 1000 || bytes < 1<<20 || resets < 100 {
		t.Error("they have not said enough to each other")
	}
}

// agree checks, with nothing under way, that each end knows what the other does.
func agree(t *testing.T, client, server *end) {
	t.Helper()
	c, s := &client.core, &server.core
	if c.sendWindow != s.recvWindow || s.sendWindow != c.recvWindow {
		t.Fatalf("connection: the client may send %d, the server takes %d; the server may send %d, the client takes %d",
			c.sendWindow, s.recvWindow, s.sendWindow, c.recvWindow)
	}
	if c.Len() != s.Len() || len(client.rest)+len(server.rest) != 0 {
		t.Fatalf("%d and %d streams, %d and %d bytes left", c.Len(), s.Len(), len(client.rest), len(server.rest))
	}
	for _, a := range c.Streams(nil) {
		b := s.Find(a.ID())
		if b == nil || a.LocalDone() != b.RemoteDone() || a.RemoteDone() != b.LocalDone() {
			t.Fatalf("stream %d is %v for the client, for the server %+v", a.ID(), a.State(), b)
		}
		if !a.LocalDone() && c.sendable(a) != int64(s.window)+int64(b.recvGain) ||
			!b.LocalDone() && s.sendable(b) != int64(c.window)+int64(a.recvGain) {
			t.Fatalf("stream %d: the windows differ", a.ID())
		}
		if a.Owner.sent != b.Owner.got || b.Owner.sent != a.Owner.got {
			t.Fatalf("stream %d: sent %d and %d, got %d and %d", a.ID(), a.Owner.sent, b.Owner.sent, b.Owner.got, a.Owner.got)
		}
	}
}
