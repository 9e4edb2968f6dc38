package stream

import (
	"strings"
	"testing"

	"github.com/weir-go/weir/internal/h2"
)

// What all streams send in one turn of the loop leaves in one write.
func TestOneWriteForATurn(t *testing.T) {
	for _, path := range []string{"/e.E/Open", "/e.E/Send"} {
		p := newPeer(t, Config{}, echoes)
		p.greet()
		var in []byte
		for range 100 {
			in = h2.AppendData(in, p.open(path, false), message("hello"), false)
		}
		p.frames()
		before := p.l.writes
		p.feed(in)
		if n, g := p.l.writes-before, newGathered().from(p); n != 1 || len(g.data) != 100 {
			t.Errorf("%s: %d answers in %d writes", path, len(g.data), n)
		}
	}
}

// bursts answers a message "n text" with n messages of the text.
type bursts struct{ notes }

func (b *bursts) Message(st *Stream, m []byte) error {
	n, text, _ := strings.Cut(string(m), " ")
	for range len(n) {
		if err := st.Send([]byte(text)); err != nil {
			return err
		}
	}
	return nil
}

// A large message does not stand before a small one of another stream, and two
// large ones take turns; small ones of one stream share a frame.
func TestStreamsTakeTurns(t *testing.T) {
	p := newPeer(t, Config{}, func(s *Server) {
		s.Handle("/b/Burst", Method{Open: func(*Stream) (Handler, error) { return &bursts{}, nil }})
	})
	p.greet(h2.Setting{ID: h2.SettingInitialWindowSize, Value: 1 << 20})
	p.feed(h2.AppendWindowUpdate(nil, 0, 1<<20))
	large := strings.Repeat("l", 100_000)
	var in []byte
	for _, m := range []string{"1 " + large, "1 " + large, "12345 small"} {
		in = h2.AppendData(in, p.open("/b/Burst", false), message(m)[:5], false)
	}
	p.feed(in) // the messages have begun
	p.frames()
	in = in[:0]
	for i, m := range []string{"1 " + large, "1 " + large, "12345 small"} {
		for rest := message(m)[5:]; len(rest) > 0; {
			n := min(len(rest), h2.MinMaxFrame)
			in = h2.AppendData(in, uint32(2*i+1), rest[:n], false)
			rest = rest[n:]
		}
	}
	p.feed(in)
	var order []uint32
	for _, f := range p.frames() {
		if f.Type == h2.FrameData {
			order = append(order, f.Stream)
			if f.Length > turnSize {
				t.Errorf("a frame of %d bytes", f.Length)
			}
		}
	}
	want := []uint32{1, 3, 5, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3}
	if len(order) != len(want) {
		t.Fatalf("DATA of %v, want %v", order, want)
	}
	for i := range order {
		if order[i] != want[i] {
			t.Fatalf("DATA of %v, want %v", order, want)
		}
	}
}
