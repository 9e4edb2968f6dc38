package stream

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/weir-go/weir/internal/h2"
)

// Who has taken a context before the method detached is told of the stream's end,
// whenever he begins to listen to it.
func TestContextOutlivesTheMethod(t *testing.T) {
	ready := make(chan context.Context, 1)
	p := newPeer(t, Config{}, goes("/g/Go", func(st *Stream) error {
		ready <- st.Context()
		return st.Detach(nil)
	}))
	p.greet()
	for _, late := range []bool{false, true} {
		id := p.open("/g/Go", false)
		ctx := <-ready
		st := p.s.core.Find(id).Owner
		p.await("it is detached", func() bool { return st.flags&detached != 0 })
		if st.call.Load() != nil {
			t.Error("a detached stream that nobody listens to keeps its call")
		}
		if !late && ctx.Err() != nil {
			t.Errorf("before the end: %v", ctx.Err())
		}
		after := make(chan struct{})
		listen := func() <-chan struct{} {
			context.AfterFunc(ctx, func() { close(after) })
			return ctx.Done()
		}
		var done <-chan struct{}
		if !late {
			done = listen()
		}
		p.feed(h2.AppendRSTStream(nil, id, h2.Cancel))
		if late {
			done = listen()
		}
		within := soon(t)
		for _, ch := range []<-chan struct{}{done, after} {
			select {
			case <-ch:
			case <-within.Done():
				t.Fatal("the context has not ended with the stream")
			}
		}
		if !errors.Is(ctx.Err(), context.Canceled) {
			t.Errorf("it has ended with %v", ctx.Err())
		}
	}
}

// A goroutine that waits for room in a stream which is detached meanwhile is not
// forgotten.
func TestSenderOutlivesTheMethod(t *testing.T) {
	end, waits := make(chan error, 1), make(chan struct{})
	p := newPeer(t, Config{SendLimit: 100}, goes("/g/Go", func(st *Stream) error {
		go func() {
			for {
				if err := st.SendWait(NewBuffer(200)); err != nil {
					end <- err
					return
				}
			}
		}()
		<-waits
		return st.Detach(nil)
	}))
	p.greet(h2.Setting{ID: h2.SettingInitialWindowSize, Value: 10})
	id := p.open("/g/Go", false)
	st := p.s.core.Find(id).Owner
	p.await("somebody waits", func() bool { return st.marks.Load()&markWaiting != 0 })
	close(waits)
	p.await("it is detached", func() bool { return st.flags&detached != 0 })
	p.feed(h2.AppendRSTStream(nil, id, h2.Cancel))
	select {
	case err := <-end:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("it has ended with %v", err)
		}
	case <-soon(t).Done():
		t.Error("it waits still")
	}
}

// The end of a stream comes to a context once, also to one that was made when it
// was known already and not yet told.
func TestContextMadeAtTheEnd(t *testing.T) {
	h := &notes{}
	p := newPeer(t, Config{}, func(s *Server) {
		s.Handle("/c/Open", Method{Open: func(*Stream) (Handler, error) { return h, nil }})
	})
	p.greet()
	id := p.open("/c/Open", false)
	st := p.s.core.Find(id).Owner
	st.final = statusCanceled
	st.marks.Or(markEnded) // the loop is here
	<-st.Context().Done()  // and another goroutine there
	p.feed(h2.AppendRSTStream(nil, id, h2.Cancel))
	if len(h.all) != 1 || st.Context().Err() != context.Canceled {
		t.Errorf("%q, %v", h.all, st.Context().Err())
	}
}

// io.EOF is the peer's half-close, and not the method's own end.
func TestRecvBehindTheEnd(t *testing.T) {
	got := make(chan error, 1)
	p := newPeer(t, Config{}, goes("/g/Go", func(st *Stream) error {
		go func() {
			_, err := st.Recv()
			got <- err
		}()
		return nil
	}))
	p.greet()
	id, g := p.open("/g/Go", false), newGathered()
	p.await("the end", func() bool { return g.from(p).ended[id] })
	if err := <-got; err == io.EOF || !errors.Is(err, context.Canceled) {
		t.Errorf("a stream of which the peer's end has not come is at its end with %v", err)
	}
}

// What was decompressed for a caller who does not come back is no longer counted.
func TestHeldByWhoLeaves(t *testing.T) {
	back := make(chan struct{})
	p := newCouple(t, Config{}, ClientConfig{}, map[string]Method{
		"/z/Down": {Go: func(st *Stream) error {
			for range 2 {
				if err := st.SendWait(bufferOf(strings.Repeat("a", 5000))); err != nil {
					return err
				}
			}
			<-st.Context().Done()
			return nil
		}},
		"/z/Up": {Go: func(st *Stream) error {
			go func() {
				defer close(back)
				for {
					if _, err := st.Recv(); err != nil {
						return
					}
				}
			}()
			return st.SendWait(bufferOf("x"))
		}},
	})
	st, err := p.cli.Call(soon(t), "/z/Down", CallOptions{Compressor: "gzip"})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.SendWait(bufferOf(strings.Repeat("b", 5000))); err != nil {
		t.Fatal(err)
	}
	if m, err := st.Recv(); err != nil || len(m) != 5000 {
		t.Fatal(len(m), err)
	}
	st.Cancel()

	st, err = p.cli.Call(soon(t), "/z/Up", CallOptions{Compressor: "gzip"})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		st.SendWait(bufferOf(strings.Repeat("b", 5000)))
	}
	for err == nil {
		_, err = st.Recv()
	}
	<-back
}

// What a goroutine has received stays as it is when the method returns before that
// goroutine has read it, whether it was compressed or not.
func TestMessageOutlivesTheMethod(t *testing.T) {
	for i, encoding := range []string{"identity", "gzip", "identity", "gzip"} {
		detaches := i > 1
		got := make(chan []byte, 1)
		p := newPeer(t, Config{}, goes("/g/Go", func(st *Stream) error {
			received := make(chan struct{})
			go func() {
				defer close(received)
				m, err := st.Recv()
				if err != nil {
					t.Error(err)
				}
				got <- m
			}()
			<-received
			if detaches {
				return st.Detach(&notes{})
			}
			return nil
		}))
		p.greet()
		want := strings.Repeat("m", 100)
		sent, compressed := []byte(want), false
		if encoding == "gzip" {
			sent, _ = Gzip(0).Compress(nil, sent)
			compressed = true
		}
		id, g := p.open("/g/Go", false, "grpc-encoding", encoding), newGathered()
		p.data(id, append(h2.AppendPrefix(nil, compressed, len(sent)), sent...), false)
		m := <-got
		st := p.s.core.Find(id)
		p.await("the end", func() bool { return g.from(p).ended[id] || st != nil && st.Owner.flags&detached != 0 })
		for n := 16; n < 1024; n++ { // whoever gets the storage next writes into it
			b := storage(n)
			for i := range b {
				b[i] = 'x'
			}
		}
		if string(m) != want {
			t.Errorf("%s, detached %v: the message has become %q", encoding, detaches, m)
		}
	}
}
