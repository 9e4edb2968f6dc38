package h2

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// witness owns a Core and writes down what it is told and what the Core sends,
// one line each. DATA that comes in pieces is written down as one.
type witness struct {
	core    Core[*flow]
	trace   []string
	all     map[uint32]*flow // every stream that was ever there
	refuse  bool             // do not accept requests
	react   func(event string, st *flow)
	gathers *flow // the stream whose DATA is being gathered
	bytes   int   // of it
	failed  bool  // the end has been written down
	rest    []byte
	now     int64
	check   func() // called after each piece; may be nil
}

// flow is the witness's stream.
type flow struct {
	Stream[*flow]
	got  int  // bytes of DATA shown
	end  bool // and its end
	over bool // reset
}

func newWitness(cfg Config) *witness {
	w := &witness{all: map[uint32]*flow{}, now: 1}
	w.core.Start(NewLimits(cfg), w)
	return w
}

// feed gives the Core bytes in pieces of at most size.
func (w *witness) feed(p []byte, size int) {
	for len(p) > 0 {
		n := min(size, len(p))
		w.rest = append(w.rest, p[:n]...)
		p = p[n:]
		used, err := w.core.Feed(w.now, w.rest)
		w.rest = append(w.rest[:0], w.rest[used:]...)
		if err != nil && !w.failed {
			w.flushData()
			w.failed = true
			w.note("failed: %v", err)
		}
		if w.check != nil {
			w.check()
		}
	}
	w.sent()
}

// sent writes down what the Core has put out.
func (w *witness) sent() {
	w.flushData()
	for p := w.core.Out; len(p) > 0; {
		if rest, ok := strings.CutPrefix(string(p), Preface); ok {
			w.note("> preface")
			p = []byte(rest)
			continue
		}
		h := ParseHeader(p)
		w.note("> %s", describe(h, p[HeaderLen:HeaderLen+h.Length]))
		p = p[HeaderLen+h.Length:]
	}
	w.core.Out = w.core.Out[:0]
}

func (w *witness) note(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

func (w *witness) flushData() {
	if w.gathers != nil {
		w.note("data %d %d%s", w.gathers.ID(), w.bytes, word(w.gathers.end, " end"))
		w.gathers, w.bytes = nil, 0
	}
}

func (w *witness) reacted(event string, st *flow) {
	if w.react != nil {
		w.react(event, st)
	}
}

func (w *witness) Request(b *Block, end bool) {
	w.flushData()
	if w.refuse {
		w.note("refused %s%s", describeBlock(b), word(end, " end"))
		return
	}
	st := &flow{}
	st.Owner = st
	w.core.Accept(&st.Stream)
	w.note("request %d %s%s", st.ID(), describeBlock(b), word(end, " end"))
	w.all[st.ID()] = st
	w.reacted("request", st)
}

func (w *witness) Headers(s *Stream[*flow], b *Block, end bool) {
	w.flushData()
	w.note("headers %d %s%s", s.ID(), describeBlock(b), word(end, " end"))
	s.Owner.end = s.Owner.end || end
	w.reacted("headers", s.Owner)
}

func (w *witness) Data(s *Stream[*flow], p []byte, end bool) {
	st := s.Owner
	if w.gathers != nil && w.gathers != st {
		w.flushData()
	}
	w.gathers = st
	w.bytes += len(p)
	st.got += len(p)
	st.end = st.end || end
	if end {
		w.flushData()
	}
	w.reacted("data", st)
}

func (w *witness) Reset(s *Stream[*flow], code Code, remote bool, why string) {
	w.flushData()
	s.Owner.over = true
	by := "by the peer"
	if !remote {
		by = "for: " + why
	}
	w.note("reset %d %v %s", s.ID(), code, by)
	w.reacted("reset", s.Owner)
}

func (w *witness) Window(s *Stream[*flow]) {
	w.flushData()
	if s == nil {
		w.note("window of all, connection %d", w.core.ConnQuota())
		return
	}
	w.note("window %d quota %d", s.ID(), w.core.Quota(s))
}

func (w *witness) Settings(s *PeerSettings) {
	w.flushData()
	w.note("settings table=%d streams=%d window=%d frame=%d list=%d",
		s.HeaderTable, s.MaxStreams, s.InitialWindow, s.MaxFrame, s.MaxHeaderList)
}

func (w *witness) Ping(data [8]byte, ack bool) {
	w.flushData()
	w.note("ping %q%s", data[:], word(ack, " ack"))
}

func (w *witness) GoAway(last uint32, code Code, debug []byte) {
	w.flushData()
	w.note("goaway %d %v %q", last, code, debug)
}

func word(yes bool, s string) string {
	if yes {
		return s
	}
	return ""
}

func describeBlock(b *Block) string {
	var s []string
	for _, p := range []string{b.Status, b.Method, b.Scheme, b.Authority, b.Path} {
		if p != "" {
			s = append(s, p)
		}
	}
	for _, f := range b.Fields {
		v := f.Value
		if len(v) > 40 {
			v = fmt.Sprintf("%d bytes", len(v))
		}
		s = append(s, f.Name+"="+v)
	}
	if b.TooLarge {
		s = append(s, "too large")
	}
	return strings.Join(s, " ")
}

var typeNames = [...]string{"DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS",
	"PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE", "CONTINUATION"}

var settingNames = [...]string{"", "HEADER_TABLE_SIZE", "ENABLE_PUSH", "MAX_CONCURRENT_STREAMS",
	"INITIAL_WINDOW_SIZE", "MAX_FRAME_SIZE", "MAX_HEADER_LIST_SIZE"}

// describe is a frame that a Core has sent, in words.
func describe(h Header, p []byte) string {
	s := typeNames[h.Type]
	if h.Stream != 0 {
		s += fmt.Sprint(" ", h.Stream)
	}
	num := func(at int) uint32 { return binary.BigEndian.Uint32(p[at:]) }
	switch h.Type {
	case FrameData:
		s += fmt.Sprint(" ", len(p))
	case FrameHeaders, FrameContinuation:
		s += fmt.Sprintf(" %x", p[:min(len(p), 16)]) + word(len(p) > 16, fmt.Sprintf("... %d bytes", len(p)))
		s += word(!h.Flags.Has(FlagEndHeaders), " more")
	case FrameRSTStream:
		s += fmt.Sprint(" ", Code(num(0)))
	case FrameSettings:
		s += word(h.Flags.Has(FlagAck), " ack")
		for ; len(p) > 0; p = p[settingLen:] {
			s += fmt.Sprintf(" %s=%d", settingNames[binary.BigEndian.Uint16(p)], binary.BigEndian.Uint32(p[2:]))
		}
		return s
	case FramePing:
		return s + word(h.Flags.Has(FlagAck), " ack") + fmt.Sprintf(" %q", p)
	case FrameGoAway:
		s += fmt.Sprintf(" last=%d %v %q", num(0), Code(num(4)), p[8:])
	case FrameWindowUpdate:
		s += fmt.Sprint(" ", num(0))
	}
	return s + word((h.Type == FrameData || h.Type == FrameHeaders) && h.Flags.Has(FlagEndStream), " end")
}
