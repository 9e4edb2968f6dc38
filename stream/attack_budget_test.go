package stream

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/weir-go/weir/internal/h2"
)

// Several uploads at once are more than the session's budget: they take turns.
// Those for which even waiting takes too much end; none hangs.
func TestAttackUploadsTogether(t *testing.T) {
	for _, c := range []struct {
		uploads int
		refused bool
	}{{8, false}, {64, true}} {
		t.Run(fmt.Sprint(c.uploads), func(t *testing.T) { uploadsTogether(t, c.uploads, c.refused) })
	}
}

func uploadsTogether(t *testing.T, uploads int, refusals bool) {
	const size, budget = 1 << 20, 2 << 20
	p := newPeer(t, Config{SessionBudget: budget}, echoes)
	p.greet(h2.Setting{ID: h2.SettingInitialWindowSize, Value: 1 << 30})
	p.feed(h2.AppendWindowUpdate(nil, 0, 1<<30))
	g := newGathered()
	type upload struct {
		id   uint32
		left []byte
	}
	var all []*upload
	for range uploads {
		all = append(all, &upload{p.open("/e.E/Open", false), message(string(make([]byte, size)))})
	}
	conn, stream, most := h2.InitialWindow, map[uint32]int{}, int64(0)
	for progress := true; progress; {
		progress = false
		for _, u := range all {
			g.from(p)
			n := min(len(u.left), 16<<10, conn+g.credit[0], h2.InitialWindow+stream[u.id]+g.credit[u.id])
			if n <= 0 || g.ended[u.id] || p.l.closed {
				continue
			}
			progress = true
			p.data(u.id, u.left[:n], false)
			u.left = u.left[n:]
			conn -= n
			stream[u.id] -= n
			most = max(most, p.srv.Stats().Held)
		}
	}
	done, refused := 0, 0
	g.from(p)
	for _, u := range all {
		switch {
		case len(u.left) == 0 && len(g.data[u.id]) == size+h2.PrefixLen:
			done++
		case g.ended[u.id]:
			refused++
		}
	}
	t.Logf("%d of %d done, %d refused; %d bytes held at most", done, len(all), refused, most)
	if done+refused != len(all) || done == 0 || refused > 0 != refusals {
		t.Errorf("%d of %d uploads done, %d refused, the others hang; %v", done, len(all), refused, g.goAway)
	}
	if most > budget+budget/8 {
		t.Errorf("%d bytes held, of %d", most, budget)
	}
	if n := p.s.growing; n != (growing{}) {
		t.Errorf("%+v is left", n)
	}
}

// An upload that is given up lets the next one have its turn, also when it had
// only waited.
func TestUploadsGivenUp(t *testing.T) {
	const size = 1 << 20
	p := newPeer(t, Config{SessionBudget: 2 << 20}, echoes)
	p.greet(h2.Setting{ID: h2.SettingInitialWindowSize, Value: 1 << 30})
	var ids []uint32
	for range 4 {
		id := p.open("/e.E/Open", false)
		for m := message(string(make([]byte, size))); len(m) > size-32<<10; m = m[16<<10:] {
			p.data(id, m[:16<<10], false)
		}
		ids = append(ids, id)
	}
	g := newGathered().from(p)
	for i, id := range ids {
		if waiting := g.credit[id] == 0; waiting != (i > 0) {
			t.Errorf("upload %d waits: %v", i, waiting)
		}
	}
	p.feed(h2.AppendRSTStream(nil, ids[1], h2.Cancel)) // waited
	p.feed(h2.AppendRSTStream(nil, ids[0], h2.Cancel)) // had its turn
	g.from(p)
	if g.credit[ids[2]] == 0 || g.credit[ids[3]] != 0 {
		t.Errorf("credit: %v", g.credit)
	}
	p.feed(h2.AppendRSTStream(nil, ids[3], h2.Cancel))
	p.feed(h2.AppendRSTStream(nil, ids[2], h2.Cancel))
	if n := p.s.growing; n != (growing{}) || p.srv.Stats().Held != 0 {
		t.Errorf("%+v is left", n)
	}
}

// One session that takes no answers must not use up what the others need.
func TestAttackBudgetHog(t *testing.T) {
	const answer = 64 << 10
	setup := func(s *Server) {
		s.Handle("/u/Big", Method{Unary: func(*Stream, []byte) ([]byte, error) { return make([]byte, answer), nil }})
	}
	p := newPeer(t, Config{ServerBudget: 4 << 20}, setup)
	p.greet(h2.Setting{ID: h2.SettingInitialWindowSize, Value: 0})
	other := p.second()
	for range 500 {
		p.data(p.open("/u/Big", false), message(""), true)
	}
	held := p.srv.Stats().Held
	id := other.open("/u/Big", false)
	other.data(id, message(""), true)
	g := newGathered().from(other)
	t.Logf("%d bytes held, answer of %d bytes to another", held, len(g.data[id]))
	if len(g.data[id]) == 0 {
		t.Errorf("a bystander is refused: %+v", p.srv.Stats())
	}
	if held > 4<<20+answer {
		t.Errorf("%d bytes held", held)
	}
}

// second connects another peer to p's server.
func (p *peer) second() *peer {
	q := &peer{t: p.t, srv: p.srv, l: &fakeLink{room: -1, now: 1, poked: make(chan struct{}, 1)}, next: 1}
	q.s = p.srv.Attach(q.l)
	p.t.Cleanup(func() { q.s.Lost(nil) }) // before p's
	q.greet()
	return q
}

// Between once and twice the server's budget those that hold little get streams,
// above that nobody. Sessions with more than their share are slowed down.
func TestServerBudgetOverdrawn(t *testing.T) {
	p := newPeer(t, Config{ServerBudget: 20_000, ConnWindow: h2.InitialWindow}, func(s *Server) {
		goes("/g/Go", func(st *Stream) error { <-st.Context().Done(); return nil })(s)
		echoes(s)
	})
	p.greet()
	q := p.second()
	id := p.open("/g/Go", false)
	p.data(id, message(string(make([]byte, 16_000))), false)
	p.data(id, message(string(make([]byte, 8_000))), false)
	if held := p.srv.Stats().Held; held <= 20_000 || held > 40_000 {
		t.Fatalf("%d bytes held", held)
	}
	for _, want := range []struct {
		by      *peer
		refused bool
	}{{p, true}, {q, false}} {
		id := want.by.open("/e.E/Unary", false)
		want.by.data(id, message("x"), true)
		if g := newGathered().from(want.by); !g.ended[id] || (len(g.data[id]) == 0) != want.refused {
			t.Errorf("refused: %v", !want.refused)
		}
	}
	if s := p.srv.Stats(); s.OverBudget != 1 || s.Withheld != 1 {
		t.Errorf("%+v", s)
	}
	// The other one takes its share, and more.
	idle := q.open("/g/Go", false)
	for range 3 {
		q.data(idle, message(string(make([]byte, 8_000))), false)
	}
	if s := p.srv.Stats(); s.Held <= 40_000 || s.Withheld != 2 {
		t.Errorf("%+v", s)
	}
	r := p.second()
	id = r.open("/e.E/Unary", true)
	if g := newGathered().from(r); !g.ended[id] || p.srv.Stats().OverBudget != 2 {
		t.Errorf("%+v", p.srv.Stats())
	}
	for _, x := range []*peer{p, q, r} {
		x.s.Lost(nil)
	}
	for p.srv.workers.busy() > 0 {
		runtime.Gosched()
	}
}

// Metadata is memory, too, and HPACK lets a peer ask for much of it with little.
func TestAttackFatHeaders(t *testing.T) {
	const budget = 2 << 20
	p := newPeer(t, Config{SessionBudget: budget}, echoes)
	p.greet()
	g, most, refused := newGathered(), int64(0), 0
	for i := range 1000 {
		var more []string
		for k := range 300 {
			more = append(more, fmt.Sprint("k", k), fmt.Sprint(i))
		}
		id := p.open("/e.E/Open", false, more...)
		most = max(most, p.srv.Stats().Held)
		if g.from(p).ended[id] {
			refused++
		}
	}
	t.Logf("%d of 1000 streams with 300 fields each are refused, at most %d bytes are held", refused, most)
	if refused < 500 || most > budget+64<<10 {
		t.Errorf("%d streams refused, %d bytes held of %d", refused, most, budget)
	}
	for id := uint32(1); id < 2000; id += 2 {
		p.feed(h2.AppendRSTStream(nil, id, h2.Cancel))
	}
	if held := p.srv.Stats().Held; held != 0 {
		t.Errorf("%d bytes held for no stream", held)
	}
}

// One header that all streams share counts once, and small ones not at all.
func TestSharedHeaderCountsOnce(t *testing.T) {
	p := newPeer(t, Config{}, echoes)
	p.greet()
	token := strings.Repeat("t", 4000)
	for range 100 {
		p.open("/e.E/Open", false, "authorization", token)
	}
	if held := p.srv.Stats().Held; held < 4000 || held > 5000 {
		t.Errorf("%d bytes held", held)
	}
	p.open("/e.E/Open", false, "a", "b")
	for id := uint32(1); id < 201; id += 2 {
		p.feed(h2.AppendRSTStream(nil, id, h2.Cancel))
	}
	if held := p.srv.Stats().Held; held != 0 {
		t.Errorf("%d bytes held for a small header", held)
	}
}

// A session without streams holds no more of a request than it costs to have the
// next one that is alike for nothing.
func TestAttackFatHeaderLeft(t *testing.T) {
	for _, c := range []struct {
		value string
		kept  bool
	}{{"QQ", true}, {strings.Repeat("QUJD", 1000), true}, {strings.Repeat(",", 15_000), false}} {
		p := newPeer(t, Config{}, echoes)
		p.greet()
		id := p.open("/e.E/Open", false, "a-bin", c.value)
		held := p.srv.Stats().Held
		p.feed(h2.AppendRSTStream(nil, id, h2.Cancel))
		if kept := p.s.last != nil; kept != c.kept {
			t.Errorf("a header of %d bytes that counted %d is kept: %v", len(c.value), held, kept)
		}
		t.Logf("%d bytes of a header, %d bytes of memory", len(c.value), held)
	}
}

// What is small on the wire counts as what it is when methods hold it.
func TestAttackBombsHeld(t *testing.T) {
	const n, budget = 50, 64 << 20
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	w.Write(make([]byte, 4<<20))
	w.Close()
	hold, in := make(chan struct{}), make(chan error, n)
	p := newPeer(t, Config{ServerBudget: budget}, goes("/g/Go", func(st *Stream) error {
		_, err := st.Recv()
		in <- err
		<-hold
		return err
	}))
	p.greet()
	m := append(h2.AppendPrefix(nil, true, z.Len()), z.Bytes()...)
	for range n {
		p.open("/g/Go", false, "grpc-encoding", "gzip")
	}
	refused := 0
	for i := 0; i < n && refused == 0; i++ {
		p.data(uint32(2*i+1), m, false)
		if errors.Is(<-in, &Status{Code: ResourceExhausted}) {
			refused++
		}
		if held := p.srv.Stats().Held; held > budget/2+8<<20 {
			t.Errorf("%d bytes held", held)
		}
	}
	t.Logf("a bomb of %d bytes: %d bytes held when the first one is refused", z.Len(), p.srv.Stats().Held)
	if refused == 0 {
		t.Error("all bombs may go off")
	}
	close(hold)
	p.s.Lost(nil)
	for p.srv.workers.busy() > 0 {
		runtime.Gosched()
	}
}

// A message that alone is larger than the budget goes on nevertheless, as long
// as MaxRecv allows: nobody else could make room for it.
func TestOneLargeUpload(t *testing.T) {
	const size = 300_000
	p := newPeer(t, Config{SessionBudget: 50_000, ConnWindow: h2.InitialWindow, MaxWindow: h2.InitialWindow}, echoes)
	p.greet(h2.Setting{ID: h2.SettingInitialWindowSize, Value: 1 << 30})
	p.feed(h2.AppendWindowUpdate(nil, 0, 1<<30))
	id, g := p.open("/e.E/Open", false), newGathered()
	rest, sent := message(string(make([]byte, size))), 0
	for len(rest) > 0 {
		g.from(p)
		n := min(len(rest), 16<<10, h2.InitialWindow+min(g.credit[0], g.credit[id])-sent)
		if n <= 0 {
			t.Fatalf("stuck after %d bytes", sent)
		}
		p.data(id, rest[:n], false)
		rest = rest[n:]
		sent += n
	}
	if n := len(g.from(p).data[id]); n != size+h2.PrefixLen {
		t.Errorf("%d bytes come back", n)
	}
}

// What a header is made of many times over is not told back, and counts as what
// it becomes.
func TestAttackHeadersThatGrow(t *testing.T) {
	long := strings.Repeat("\xff", 3000)
	for name, more := range map[string][]string{
		"content-type": {"content-type", long}, "content-type of gRPC": {"content-type", "application/grpc;" + long},
		"encoding": {"grpc-encoding", long}, "name": {strings.Repeat("n", 3000) + "-bin", "#"}, "path": nil,
	} {
		p := newPeer(t, Config{}, echoes)
		p.greet()
		path := "/e.E/Open"
		if more == nil {
			path += long
		}
		p.open(path, true, more...)
		n := 0
		for _, f := range p.frames() {
			n += len(f.p)
		}
		if n > 2000 || p.srv.Stats().Failed != 1 {
			t.Errorf("%s: an answer of %d bytes, %+v", name, n, p.srv.Stats())
		}
	}
	p := newPeer(t, Config{}, echoes)
	p.greet()
	p.open("/e.E/Open", false, "x-bin", strings.Repeat(",", 15_000))
	if held := p.srv.Stats().Held; held < 15_000*32 {
		t.Errorf("%d bytes held for 15,001 values", held)
	}
}

// A peer that fills its windows, while nobody receives, has done nothing wrong.
func TestSlowMethodsAreNobodysFault(t *testing.T) {
	const window, size = 1 << 20, 4100 // which takes 8 KiB of storage
	p := newPeer(t, Config{SessionBudget: window}, goes("/g/Go", func(st *Stream) error {
		<-st.Context().Done()
		return nil
	}))
	p.greet()
	g, m, sent := newGathered().from(p), message(string(make([]byte, size))), 0
	for !p.l.closed && sent+len(m) <= h2.InitialWindow+g.from(p).credit[0] {
		id := p.open("/g/Go", false)
		for range 15 { // as many as a stream's window lets through
			if sent+len(m) > h2.InitialWindow+g.from(p).credit[0] {
				break
			}
			p.data(id, m, false)
			sent += len(m)
		}
	}
	t.Logf("%d bytes sent, %d held", sent, p.srv.Stats().Held)
	if g.from(p); p.l.closed {
		t.Errorf("the session ended: %v", g.goAway)
	}
	p.s.Lost(nil)
	for p.srv.workers.busy() > 0 {
		runtime.Gosched()
	}
}
