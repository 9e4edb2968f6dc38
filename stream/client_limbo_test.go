package stream

import (
	"strings"
	"testing"

	"github.com/weir-go/weir/internal/h2"
)

// What is done to a stream that has no connection yet is done when it has one,
// in order; what only a server's stream can do is refused.
func TestBeforeThereIsAConnection(t *testing.T) {
	g := newStage(t, ClientConfig{})
	st, h := g.start("/a/B", CallOptions{})
	if st.Session() != nil || st.Header() != nil || st.HasHeader() {
		t.Error("it has a session or a header")
	}
	st.Pause()
	st.Resume()
	order := ""
	st.Send([]byte("1"))
	st.Post(func(st *Stream) { order += "a"; st.Emit([]byte("2")) })
	st.Emit([]byte("3"))
	m := NewMessage([]byte("4"))
	st.SendMessage(m)
	m.Release()
	st.Post(func(*Stream) { order += "b" })
	if st.SetHeader(nil) != ErrHeader || st.Detach(nil) != ErrNoServe {
		t.Error("it takes what it cannot take")
	}
	topic := NewTopic(nil, TopicConfig{})
	defer topic.Close(nil)
	if _, err := topic.Subscribe(st, SubOptions{}); err != ErrNoServe {
		t.Errorf("it subscribes: %v", err)
	}
	f := g.connect()
	if st.Session() != f.s || order != "ab" {
		t.Errorf("on %p, want %p; functions ran in the order %q", st.Session(), f.s, order)
	}
	// What a function has sent comes behind what was sent before it ran.
	f.hears("open 1 /a/B", `data 1 "\x011\x00\x00\x00\x00\x013\x00\x00\x00\x00\x014\x00\x00\x00\x00\x012"`)
	st.CloseSend()
	g.settle()
	f.hears(`data 1 "" end`)
	f.finish(1, "0")
	if h.ended() != "OK" {
		t.Error(h.ended())
	}
}

// SendLimit holds in limbo, too, and who was refused is told when there is room.
func TestQueueInLimbo(t *testing.T) {
	g := newStage(t, ClientConfig{Config: Config{SendLimit: 1000}})
	d := &drainer{teller: newTeller()}
	st, err := g.c.Start("/a/B", CallOptions{}, d)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for st.Send(make([]byte, 100)) == nil {
		n++
	}
	if n < 5 || n > 10 {
		t.Errorf("%d messages of 100 bytes in a queue of 1000", n)
	}
	f := g.connect()
	if !strings.Contains(strings.Join(d.told, " "), "drained") {
		t.Error("nobody is told that there is room")
	}
	f.finish(1, "0")
}

type drainer struct{ *teller }

func (d *drainer) Drained(*Stream) { d.tell("drained") }

// A message each way costs no allocation once a stream is under way.
func TestClientAllocations(t *testing.T) {
	if underRace {
		t.Skip("the race detector allocates")
	}
	g := newStage(t, ClientConfig{})
	e := &emitter{}
	if _, err := g.c.Start("/a/B", CallOptions{}, e); err != nil {
		t.Fatal(err)
	}
	f := g.connect(h2.Setting{ID: h2.SettingInitialWindowSize, Value: 1 << 30})
	f.feed(h2.AppendWindowUpdate(nil, 0, 1<<30))
	f.answer(1, "first")
	frame := h2.AppendData(nil, 1, message("hello"), false)
	n := testing.AllocsPerRun(1000, func() {
		f.l.out = f.l.out[:0]
		f.s.Feed(frame)
	})
	if n != 0 || e.n < 1000 {
		t.Errorf("%v allocations for a message each way, %d messages", n, e.n)
	}
	f.finish(1, "0")
}

type emitter struct{ n int }

func (e *emitter) Message(st *Stream, m []byte) error { e.n++; return st.Emit(m) }
func (e *emitter) Closed(*Stream, error)              {}
