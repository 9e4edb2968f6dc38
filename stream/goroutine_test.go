package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/weir-go/weir/internal/h2"
)

// gathered is what a stream has been sent: its DATA, and its trailers' status.
type gathered struct {
	data   map[uint32][]byte
	ended  map[uint32]bool
	credit map[uint32]int // WINDOW_UPDATE, 0: the connection's
	reset  map[uint32]h2.Code
	goAway h2.Code
}

func newGathered() *gathered {
	return &gathered{data: make(map[uint32][]byte), ended: make(map[uint32]bool), credit: make(map[uint32]int), reset: make(map[uint32]h2.Code)}
}

func (g *gathered) from(p *peer) *gathered {
	for _, f := range p.frames() {
		switch f.Type {
		case h2.FrameData:
			g.data[f.Stream] = append(g.data[f.Stream], f.p...)
		case h2.FrameHeaders:
			g.ended[f.Stream] = f.Flags.Has(h2.FlagEndStream)
		case h2.FrameWindowUpdate:
			g.credit[f.Stream] += int(f.p[0])<<24 | int(f.p[1])<<16 | int(f.p[2])<<8 | int(f.p[3])
		case h2.FrameRSTStream:
			g.reset[f.Stream] = h2.Code(f.p[3])
		case h2.FrameGoAway:
			g.goAway = h2.Code(f.p[7])
		}
	}
	return g
}

// goes registers a method with Go.
func goes(path string, f func(st *Stream) error) func(*Server) {
	return func(s *Server) { s.Handle(path, Method{Go: f}) }
}

// Small messages that arrive together are received one by one, in order, and
// stay as they are until the next Recv.
func TestRecvInOrder(t *testing.T) {
	got := make(chan string, 400)
	p := newPeer(t, Config{}, goes("/g/Go", func(st *Stream) error {
		for {
			m, err := st.Recv()
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			before := string(m)
			runtime.Gosched() // the loop may add to the queue meanwhile
			if string(m) != before {
				return fmt.Errorf("%q has become %q", before, m)
			}
			got <- before
		}
	}))
	p.greet()
	id := p.open("/g/Go", false)
	want := 0
	for i := range 40 {
		var b []byte
		for range i % 7 {
			b = append(b, message(strings.Repeat(fmt.Sprintf("%d ", want), want%50+1))...)
			want++
		}
		half := len(b) / 3 // one is cut in two
		p.data(id, b[:half], false)
		p.data(id, b[half:], false)
	}
	p.data(id, nil, true)
	g := newGathered()
	p.await("the method returns", func() bool { return g.from(p).ended[id] })
	close(got)
	n := 0
	for m := range got {
		if m != strings.Repeat(fmt.Sprintf("%d ", n), n%50+1) {
			t.Fatalf("message %d is %q", n, m)
		}
		n++
	}
	if n != want || p.srv.Stats().Failed != 0 {
		t.Errorf("%d messages of %d, %+v", n, want, p.srv.Stats())
	}
}

// Streams count as long as their methods run, also when the peer has reset them:
// resetting does not start more work than waiting.
func TestRapidResetStartsNoMoreWork(t *testing.T) {
	proceed := make(chan struct{})
	p := newPeer(t, Config{MaxStreams: 3}, goes("/g/Go", func(st *Stream) error { <-proceed; return nil }))
	p.greet()
	g := newGathered()
	for range 50 {
		id := p.open("/g/Go", false)
		p.feed(h2.AppendRSTStream(nil, id, h2.Cancel))
	}
	if n := p.srv.workers.busy(); n != 3 {
		t.Errorf("%d methods run", n)
	}
	for id := uint32(7); id < 100; id += 2 {
		if g.from(p).reset[id] != h2.RefusedStream {
			t.Errorf("stream %d was not refused", id)
		}
	}
	close(proceed)
	p.await("there is room again", func() bool { return p.s.core.Active() == 0 })
	id := p.open("/g/Go", false)
	p.await("a stream is served", func() bool { return g.from(p).ended[id] })
}

func TestWorkersAreBounded(t *testing.T) {
	proceed := make(chan struct{})
	p := newPeer(t, Config{Workers: 2}, goes("/g/Go", func(st *Stream) error { <-proceed; return nil }))
	p.greet()
	a, b, c := p.open("/g/Go", true), p.open("/g/Go", true), p.open("/g/Go", true)
	g := newGathered().from(p)
	if !g.ended[c] || p.srv.Stats().NoWorker != 1 {
		t.Errorf("the third of two: %+v", p.srv.Stats())
	}
	close(proceed)
	p.await("both end", func() bool { g.from(p); return g.ended[a] && g.ended[b] })
	for p.srv.workers.busy() > 0 {
		runtime.Gosched()
	}
	d := p.open("/g/Go", true) // by one of the two
	p.await("another one", func() bool { return g.from(p).ended[d] })
	if n := p.srv.Stats().Workers; n > 2 {
		t.Errorf("%d workers", n)
	}
}

// SendWait waits for room and goes on, and ends with the stream.
func TestSendWait(t *testing.T) {
	const n = 100
	end := make(chan error, 1)
	p := newPeer(t, Config{SendLimit: 2000}, goes("/g/Go", func(st *Stream) error {
		for i := 0; ; i++ {
			b := NewBuffer(500)
			b.Bytes()[0] = byte(i)
			if err := st.SendWait(b); err != nil {
				end <- err
				return err
			}
			if q := st.Queued(); q > 2000+505 {
				t.Errorf("%d bytes queued", q)
			}
		}
	}))
	p.greet(h2.Setting{ID: h2.SettingInitialWindowSize, Value: 100})
	id, g := p.open("/g/Go", false), newGathered()
	for granted := 100; len(g.data[id]) < n*505; granted += 3000 {
		p.feed(h2.AppendWindowUpdate(nil, id, 3000))
		p.feed(h2.AppendWindowUpdate(nil, 0, 3000))
		p.await("the window is used", func() bool { return len(g.from(p).data[id]) == granted+3000 })
	}
	for i := range n {
		m := g.data[id][i*505:]
		if !bytes.Equal(m[:6], []byte{0, 0, 0, 1, 0xf4, byte(i)}) {
			t.Fatalf("message %d begins with %v", i, m[:6])
		}
	}
	p.feed(h2.AppendRSTStream(nil, id, h2.Cancel))
	if err := <-end; !errors.Is(err, context.Canceled) {
		t.Errorf("after the reset: %v", err)
	}
	p.await("the method has returned", func() bool { return p.s.core.Active() == 0 })
}

func TestContextOfStream(t *testing.T) {
	type key struct{}
	ready, afters := make(chan context.Context, 1), make(chan string, 4)
	p := newPeer(t, Config{}, goes("/g/Go", func(st *Stream) error {
		ctx := st.Context()
		if FromContext(context.WithValue(ctx, key{}, 1)) != st || FromContext(context.Background()) != nil {
			t.Error("FromContext finds another stream")
		}
		if _, ok := ctx.Deadline(); ok != (st.h.ID() > 1) || ctx.Err() != nil {
			t.Error("the context has ended, or has a wrong deadline")
		}
		stop := context.AfterFunc(ctx, func() { afters <- "stopped" })
		if !stop() || stop() {
			t.Error("an AfterFunc was not stopped, or twice")
		}
		context.AfterFunc(ctx, func() { afters <- "after" })
		child, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		ready <- child
		<-child.Done()
		return ctx.Err()
	}))
	p.greet()
	id := p.open("/g/Go", false)
	child := <-ready
	p.feed(h2.AppendRSTStream(nil, id, h2.Cancel))
	<-child.Done()
	if got := <-afters; got != "after" || !errors.Is(child.Err(), context.Canceled) {
		t.Errorf("%s, %v", got, child.Err())
	}
	p.await("the method has returned", func() bool { return p.s.core.Active() == 0 })

	// One that is asked for after the end has ended.
	id = p.open("/g/Go", false, "grpc-timeout", "1S")
	st := p.s.core.Find(id).Owner
	child = <-ready
	p.l.now = p.l.now.Add(time.Second)
	p.l.heap.Advance(p.l.now)
	if ctx := st.Context(); ctx.Err() != context.DeadlineExceeded {
		t.Errorf("after the deadline: %v", ctx.Err())
	}
	<-child.Done()
	<-afters
	context.AfterFunc(st.Context(), func() { afters <- "late" })
	if got := <-afters; got != "late" {
		t.Error(got)
	}
	p.await("the method has returned", func() bool { return p.s.core.Active() == 0 })
}

// tape notes what a handler is told.
type notes struct{ all []string }

func (n *notes) Message(_ *Stream, m []byte) error { n.all = append(n.all, string(m)); return nil }
func (n *notes) HalfClosed(st *Stream) error {
	n.all = append(n.all, "half")
	st.Finish(nil)
	return nil
}
func (n *notes) Closed(_ *Stream, err error) { n.all = append(n.all, fmt.Sprint("closed ", err)) }

// Messages that the goroutine has not received are the handler's, in order.
func TestDetachShowsWhatWasLeft(t *testing.T) {
	h, received, proceed := &notes{}, make(chan string), make(chan struct{})
	p := newPeer(t, Config{}, goes("/g/Go", func(st *Stream) error {
		m, err := st.Recv()
		received <- string(m)
		<-proceed
		return errors.Join(err, st.Detach(h))
	}))
	p.greet()
	id := p.open("/g/Go", false)
	p.data(id, append(append(message("a"), message("b")...), message("c")...), false)
	if m := <-received; m != "a" {
		t.Errorf("received %q", m)
	}
	p.data(id, message("d"), true)
	close(proceed)
	g := newGathered()
	p.await("the end", func() bool { return g.from(p).ended[id] })
	if got := strings.Join(h.all, ", "); got != "b, c, d, half, closed <nil>" {
		t.Error(got)
	}
}

// A handler is told of the end whenever that comes.
func TestDetachAtTheEnd(t *testing.T) {
	for _, when := range []string{"reset before", "lost before"} {
		h, proceed := &notes{}, make(chan struct{})
		done := make(chan struct{})
		p := newPeer(t, Config{}, goes("/g/Go", func(st *Stream) error {
			<-proceed
			return st.Detach(h)
		}))
		p.greet()
		id := p.open("/g/Go", false)
		if when == "reset before" {
			p.feed(h2.AppendRSTStream(nil, id, h2.Cancel))
		} else {
			p.s.Lost(nil)
		}
		close(proceed)
		go func() {
			for p.srv.workers.busy() > 0 {
				runtime.Gosched()
			}
			close(done)
		}()
		<-done
		p.poke()
		if len(h.all) != 1 || !strings.HasPrefix(h.all[0], "closed stream: CANCELED") {
			t.Errorf("%s: %q", when, h.all)
		}
	}
}

// A method that panics or ends its goroutine ends its stream only.
func TestGoPanics(t *testing.T) {
	var reported []string
	report := make(chan string, 4)
	p := newPeer(t, Config{Workers: 1, PanicReport: func(m string, v any, _ []byte) { report <- fmt.Sprint(m, " ", v) }}, func(s *Server) {
		goes("/g/Panic", func(*Stream) error { panic("as asked for") })(s)
		goes("/g/Goexit", func(*Stream) error { runtime.Goexit(); return nil })(s)
		goes("/g/Fine", func(*Stream) error { return nil })(s)
	})
	p.greet()
	g := newGathered()
	for _, path := range []string{"/g/Panic", "/g/Goexit", "/g/Fine"} {
		id := p.open(path, true)
		p.await(path, func() bool { return g.from(p).ended[id] })
		for p.srv.workers.busy() > 0 {
			runtime.Gosched()
		}
	}
	close(report)
	for r := range report {
		reported = append(reported, r)
	}
	if s := p.srv.Stats(); s.Panics != 1 || s.Failed != 2 || len(reported) != 1 || reported[0] != "/g/Panic as asked for" {
		t.Errorf("%+v, %q", s, reported)
	}
}

// A stream that awaits its first message has no goroutine.
func TestAwait(t *testing.T) {
	p := newPeer(t, Config{}, func(s *Server) {
		s.Handle("/g/Await", Method{Await: true, Go: func(st *Stream) error {
			m, err := st.Recv()
			if err != nil {
				return nil
			}
			return st.Send(m)
		}})
	})
	p.greet()
	ids := make([]uint32, 50)
	for i := range ids {
		ids[i] = p.open("/g/Await", false)
	}
	if n := p.srv.Stats().Workers; n != 0 {
		t.Errorf("%d workers", n)
	}
	g := newGathered()
	for i, id := range ids {
		if i%2 == 0 {
			p.data(id, message("x"), false)
		} else {
			p.data(id, nil, true)
		}
	}
	p.await("all end", func() bool {
		g.from(p)
		for _, id := range ids {
			if !g.ended[id] {
				return false
			}
		}
		return true
	})
	if s := p.srv.Stats(); s.Sent != 25 || s.Failed != 0 {
		t.Errorf("%+v", s)
	}
}
