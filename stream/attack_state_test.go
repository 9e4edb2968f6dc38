package stream

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/weir-go/weir/internal/h2"
)

// TestAttackAnswersNotRead: a peer that reads nothing asks for answers that are
// larger than its questions. What is framed for it stays bounded.
func TestAttackAnswersNotRead(t *testing.T) {
	p := newPeer(t, Config{}, echoes)
	p.greet()
	p.l.room = 0
	path := "/" + strings.Repeat("\xff", 3000) // %FF each in the answer
	most := 0
	n := 0
	for ; n < 20_000 && !p.l.closed; n++ {
		p.open(path, true)
		most = max(most, len(p.s.rest))
	}
	t.Logf("%d questions, at most %d bytes wait to be written", n, most)
	if most > 256<<10 {
		t.Errorf("%d bytes wait for a peer that does not read", most)
	}
}

// Several uploads at once are more than the session's budget: it must go on.
func TestAttackUploadsTogether(t *testing.T) {
	const size = 1 << 20
	p := newPeer(t, Config{SessionBudget: 2 << 20}, echoes)
	p.greet(h2.Setting{ID: h2.SettingInitialWindowSize, Value: 1 << 30})
	p.feed(h2.AppendWindowUpdate(nil, 0, 1<<30))
	g := newGathered()
	type upload struct {
		id   uint32
		left []byte
	}
	var all []*upload
	for range 8 {
		all = append(all, &upload{p.open("/e.E/Open", false), message(string(make([]byte, size)))})
	}
	conn, stream := h2.InitialWindow, map[uint32]int{}
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
	t.Logf("%d of %d done, %d refused; %+v", done, len(all), refused, p.srv.Stats())
	if done+refused != len(all) || done == 0 {
		t.Errorf("%d of %d uploads done, %d refused, the others hang; %v", done, len(all), refused, g.goAway)
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
	other := &peer{t: t, srv: p.srv, l: &fakeLink{room: -1, now: 1, poked: make(chan struct{}, 1)}, next: 1}
	other.s = p.srv.Attach(other.l)
	defer func() { other.s.Lost(nil) }()
	other.greet()
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

// A frame that is never complete.
func TestAttackHalfFrame(t *testing.T) {
	p := newPeer(t, Config{HeaderTimeout: time.Second}, echoes)
	p.greet()
	p.feed(h2.AppendHeaders(nil, 1, header("/e.E/Open"), true, h2.MinMaxFrame)[:20])
	for range 20 {
		p.l.now = p.l.now.Add(200 * time.Millisecond)
		p.l.heap.Advance(p.l.now)
		if p.l.closed {
			break
		}
		p.feed([]byte{0})
	}
	if g := newGathered().from(p); !p.l.closed || g.goAway != h2.EnhanceYourCalm {
		t.Errorf("half a frame is waited for: %v", g.goAway)
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

// The peer could not know that its streams had ended.
func TestLateData(t *testing.T) {
	p := newPeer(t, Config{}, func(s *Server) {
		s.Handle("/t/No", Method{Open: func(*Stream) (Handler, error) { return nil, &Status{Code: Aborted} }})
	})
	p.greet()
	var ids []uint32
	for range 50 {
		ids = append(ids, p.open("/t/No", false))
	}
	for range 200 {
		for _, id := range ids {
			p.data(id, message("x"), false)
		}
	}
	if g := newGathered().from(p); p.l.closed {
		t.Errorf("the session ended: %v", g.goAway)
	}
}

// busyLink always has something of what it was given last under way.
type busyLink struct{ *fakeLink }

func (l busyLink) Pending() int { return 100 }

// A peer that reads, of a session whose output never rests, may ask for as many
// answers as it likes.
func TestAnswersUnderLoad(t *testing.T) {
	p := newPeer(t, Config{ControlLimit: 2000, Enforce: Enforcement{MinTime: -1}}, echoes)
	q := &peer{t: t, srv: p.srv, l: &fakeLink{room: -1, now: 1, poked: make(chan struct{}, 1)}, next: 1}
	q.s = p.srv.Attach(busyLink{q.l})
	defer func() { q.s.Lost(nil) }()
	q.greet(h2.Setting{ID: h2.SettingInitialWindowSize, Value: 1 << 30})
	id := q.open("/e.E/Open", false)
	for range 1000 {
		q.data(id, message("x"), false)
		q.feed(h2.AppendPing(nil, false, [8]byte{1}))
	}
	if g := newGathered().from(q); q.l.closed {
		t.Errorf("the session ended: %v", g.goAway)
	}
}

// One that reads nothing has as many as fit, of whatever kind.
func TestAttackControlAnswers(t *testing.T) {
	for name, f := range map[string]func(p *peer, i int){
		"PING":     func(p *peer, i int) { p.feed(h2.AppendPing(nil, false, [8]byte{})) },
		"SETTINGS": func(p *peer, i int) { p.l.now = p.l.now.Add(time.Second); p.feed(h2.AppendSettings(nil)) },
		"PING and requests": func(p *peer, i int) {
			p.open("/e.E/None", true)
			p.feed(h2.AppendPing(nil, false, [8]byte{}))
		},
		"errors": func(p *peer, i int) {
			p.l.now = p.l.now.Add(time.Second)
			p.feed(h2.AppendWindowUpdate(nil, p.open("/e.E/Open", false), 0))
		},
		"deadlines": func(p *peer, i int) {
			p.data(p.open("/e.E/Unary", false, "grpc-timeout", "1m"), message("x"), true)
			p.l.now = p.l.now.Add(time.Second)
			p.l.heap.Advance(p.l.now)
		},
	} {
		t.Run(name, func(t *testing.T) {
			const limit = 8 << 10
			p := newPeer(t, Config{ControlLimit: limit, MaxStreams: 100, Enforce: Enforcement{MinTime: -1}}, echoes)
			p.greet()
			p.l.room = 0
			most, n := 0, 0
			for ; n < 100_000 && !p.l.closed; n++ {
				f(p, n)
				most = max(most, len(p.s.rest))
			}
			if !p.l.closed || most > restSize+limit+restEach*100+1<<10 {
				t.Errorf("after %d times %d bytes wait", n, most)
			}
			t.Logf("ends after %d times with %d bytes that wait", n, most)
		})
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
