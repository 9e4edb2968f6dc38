package stream

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/weir-go/weir/internal/h2"
)

// spring pushes messages of a size for as long as they are taken.
type spring struct{ p []byte }

func (f *spring) push(st *Stream) {
	for st.Send(f.p) == nil {
	}
}
func (f *spring) Message(st *Stream, _ []byte) error { f.push(st); return nil }
func (f *spring) Drained(st *Stream)                 { f.push(st) }
func (f *spring) Closed(*Stream, error)              {}

// pushes registers methods that send more than anybody reads.
func pushes(size int) func(*Server) {
	return func(s *Server) {
		s.Handle("/p.P/Push", Method{Open: func(*Stream) (Handler, error) { return &spring{make([]byte, size)}, nil }})
		s.Handle("/p.P/Go", Method{Await: true, Go: func(st *Stream) error {
			for {
				if err := st.SendWait(NewBuffer(size)); err != nil {
					return err
				}
			}
		}})
		s.Handle("/p.P/Big", Method{Unary: func(*Stream, []byte) ([]byte, error) { return make([]byte, size), nil }})
	}
}

// Peers that make the server hold bytes for them. Their sessions need not end:
// what is held stays within the budgets, and others are served.
func TestAttackHolds(t *testing.T) {
	const (
		streams = 500
		session = 2 << 20
		server  = 16 << 20
		size    = 32 << 10
		message = size + h2.PrefixLen
	)
	cfg := Config{MaxStreams: streams, SessionBudget: session, ServerBudget: server, Enforce: Enforcement{MinTime: -1}}
	zero := h2.Setting{ID: h2.SettingInitialWindowSize, Value: 0}
	call := func(h *hostile, path string) uint32 {
		id := h.open(path, false)
		h.send(h2.AppendData(nil, id, []byte{0, 0, 0, 0, 0}, false))
		return id
	}
	each := func(path string) func(h *hostile) {
		return func(h *hostile) {
			for i := range streams {
				call(h, path)
				if i%20 == 0 {
					h.flush()
					h.s.peak()
				}
			}
			h.flush()
		}
	}
	for _, c := range []struct {
		name string
		most int64 // bytes held
		mute bool  // reads nothing either
		f    func(h *hostile)
	}{
		// Above the session's budget each stream has the one message that an
		// empty queue takes whatever it is.
		{"zero windows, callbacks that send", session + streams*message, false, each("/p.P/Push")},
		{"zero windows, goroutines that send", session + streams*message, false, each("/p.P/Go")},
		{"zero windows, large answers", server/2 + message, false, func(h *hostile) {
			for range streams {
				id := h.open("/p.P/Big", false)
				h.send(h2.AppendData(nil, id, []byte{0, 0, 0, 0, 0}, true))
			}
			h.flush()
		}},
		{"nothing is read, callbacks that send", session + streams*message, true, each("/p.P/Push")},
		{"nothing is read, goroutines that send", session + streams*message, true, each("/p.P/Go")},
		{"windows opened by 300 bytes", session + streams*message, false, func(h *hostile) {
			each("/p.P/Push")(h)
			for round := range 20 {
				for i := range uint32(streams) {
					h.send(h2.AppendWindowUpdate(nil, 2*i+1, 300))
				}
				h.flush()
				id := uint32(round)*2 + 1
				h.await(func() bool { return len(h.data[id]) > 300*round })
				h.s.peak()
			}
		}},
		{"uploads that do not end", 2 * session, false, func(h *hostile) {
			for i := range streams {
				id := h.open("/e.E/Open", false)
				h.send(h2.AppendData(nil, id, binary.BigEndian.AppendUint32([]byte{0}, 4<<20), false))
				h.send(h2.AppendData(nil, id, make([]byte, 1000), false))
				if i%20 == 0 {
					h.s.peak()
				}
			}
			h.flush()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := besiege(t, cfg, pushes(size))
			s.under(func() {
				h := s.mute()
				h.greet(zero)
				if !c.mute {
					go h.read()
				}
				c.f(h)
				for range 20 { // it is all there by now, and stays
					b := s.dial()
					b.lives()
					b.nc.Close()
					s.peak()
				}
				h.nc.Close()
			})
			if held := s.held.Load(); held > c.most {
				t.Errorf("%d bytes held, more than %d", held, c.most)
			}
		})
	}
}

// Messages that are larger than they may be, or become so.
func TestAttackMessages(t *testing.T) {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	w.Write(make([]byte, 16<<20))
	w.Close()
	bomb := append(h2.AppendPrefix(nil, true, z.Len()), z.Bytes()...)
	s := besiege(t, Config{}, func(s *Server) {
		s.Handle("/g/Go", Method{Go: func(st *Stream) error {
			for {
				if _, err := st.Recv(); err != nil {
					return err
				}
			}
		}})
	})
	s.under(func() {
		h := s.dial()
		for _, path := range []string{"/e.E/Unary", "/e.E/Open", "/g/Go"} {
			id := h.open(path, false)
			h.send(h2.AppendData(nil, id, []byte{0, 0xff, 0xff, 0xff, 0xff, 'x'}, false))
			if status := h.endOf(id); status != "8" {
				t.Errorf("%s: 4 GiB announced: status %q", path, status)
			}
			id = h.open(path, false, "grpc-encoding", "gzip")
			for rest := bomb; len(rest) > 0; {
				n := min(len(rest), 16<<10)
				h.send(h2.AppendData(nil, id, rest[:n], n == len(rest)))
				rest = rest[n:]
				h.s.peak()
			}
			if status := h.endOf(id); status != "8" {
				t.Errorf("%s: a bomb: status %q", path, status)
			}
			h.s.peak()
		}
		h.lives()
		h.nc.Close()
	})
	t.Logf("a bomb of %d KiB that is 16 MiB", z.Len()>>10)
	if s.held.Load() > 1<<20 {
		t.Errorf("%d bytes held", s.held.Load())
	}
}

// As many messages as fit into frames: 3,276 empty ones in each. It is allowed,
// each is answered, and the others have their turns meanwhile.
func TestAttackTinyMessages(t *testing.T) {
	const each, frames = 16380, 40
	s := besiege(t, Config{}, nil)
	s.under(func() {
		h := s.dial(h2.Setting{ID: h2.SettingInitialWindowSize, Value: 1 << 30})
		id := h.open("/e.E/Open", false)
		for i := range frames {
			h.send(h2.AppendData(nil, id, make([]byte, each), false))
			h.flush()
			if !h.await(func() bool { return len(h.data[id]) == (i+1)*each }) {
				t.Errorf("%d bytes come back of %d", len(h.data[id]), (i+1)*each)
			}
		}
		h.nc.Close()
	})
}

// A subscriber that never reads, under each policy.
func TestAttackTopics(t *testing.T) {
	for _, policy := range []Policy{DropOldest, DropNewest, Latest, Conflate, Disconnect, Wait, Hold} {
		t.Run(fmt.Sprint(policy), func(t *testing.T) {
			const keep, n, ring = 64, 2000, 1 << 20
			var topic *Topic
			s := besiege(t, Config{SessionBudget: 1 << 20}, func(s *Server) {
				s.Handle("/t.T/Sub", Method{Open: func(st *Stream) (Handler, error) {
					_, err := topic.Subscribe(st, SubOptions{})
					return stays{}, err
				}})
			})
			topic = NewTopic(s.rt, TopicConfig{RingBytes: ring, SubOptions: SubOptions{Policy: policy, Queue: keep, Wait: time.Millisecond}})
			defer topic.Close(nil)
			s.under(func() {
				h := s.mute()
				h.greet(h2.Setting{ID: h2.SettingInitialWindowSize, Value: 100})
				for range 50 {
					h.open("/t.T/Sub", false)
				}
				h.flush()
				b := s.dial()
				b.lives()
				most := 0
				for i := range n {
					m := NewMessage(make([]byte, 2000))
					topic.PublishMessage(m, fmt.Sprint(i%10))
					m.Release()
					if i%10 == 0 {
						b.lives()
						s.peak()
						most = max(most, topic.Stats().HeldBytes)
					}
				}
				x := topic.Stats()
				t.Logf("%d published, %d refused; %d subscribers, %d behind, %d disconnected; the topic held at most %d KiB",
					x.Published, x.Full, x.Subs, x.Behind, x.Disconnected, most>>10)
				if most > ring {
					t.Errorf("the topic held %d bytes", most)
				}
				h.nc.Close()
				b.nc.Close()
			})
			if s.held.Load() > 1<<20 {
				t.Errorf("%d bytes held", s.held.Load())
			}
		})
	}
}

type stays struct{}

func (stays) Message(*Stream, []byte) error { return nil }
func (stays) Closed(*Stream, error)         {}
