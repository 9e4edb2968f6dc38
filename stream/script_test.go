package stream

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/internal/h2"
	"github.com/weir-go/weir/internal/script"
)

// TestScripts plays the life of sessions in testdata. What the peer does:
//
//	config Field=value ...          of the server; comes first
//	greet [window=n]                preface, SETTINGS, acknowledgment
//	open path [end] key=value ...   a request on the next stream
//	headers field=value ... [end]   the same with exactly these fields
//	msg id text [end]               a whole message in one DATA frame
//	data id hex [end]               any DATA
//	half                            a HEADERS frame that others must follow
//	rst id code | window id n | settings window=n | ping text | ack text
//	wait duration | pass duration (by seconds) | room n | drained | lose
//
// What the user does, besides what the methods do by themselves:
//
//	do id emit|send|post|finish|cancel|header|sendheader|trailer|pause|resume ...
//	drain | close
//
// What the process does, with config Admit=yes:
//
//	state normal|shed|critical|hard [descriptors]   what Admit says from here on
//	look                                            the server looks around
//
// Methods: /t/Open tells what happens; /t/Quiet has no optional interface, but a
// twin; /t/Long may be idle; /t/Vital is that; /t/Unary answers "re: " + the request, "fail" with ABORTED, "panic" with one;
// /t/Refuse does not open.
func TestScripts(t *testing.T) {
	script.Run(t, "testdata/*.txt", func(t *testing.T, commands []script.Command) []string {
		w := &theatre{t: t, streams: make(map[int]*Stream)}
		if commands[0].Name == "config" {
			w.configure(commands[0].Args)
			commands = commands[1:]
		}
		w.p = newPeer(t, w.cfg, w.methods)
		w.dec = hpack.NewDecoder(4096, nil)
		for _, c := range commands {
			w.say("%s", c)
			w.do(c)
			w.p.poke()
			w.show()
		}
		return w.trace
	})
}

// theatre is one play of a script.
type theatre struct {
	t       *testing.T
	cfg     Config
	p       *peer
	dec     *hpack.Decoder
	streams map[int]*Stream
	short   *shortOf
	trace   []string
	gone    bool
}

func (w *theatre) say(f string, args ...any) { w.trace = append(w.trace, fmt.Sprintf(f, args...)) }

// event is something that happened, under the command that led to it.
func (w *theatre) event(f string, args ...any) { w.say("  "+f, args...) }

// quiet tells what happens to a stream; loud is told of more.
type quiet struct{ w *theatre }

func (q quiet) Message(st *Stream, m []byte) error {
	q.w.event("message %d %q", st.h.ID(), m)
	if string(m) == "panic" {
		panic("as asked for")
	}
	if string(m) == "error" {
		return &Status{Code: InvalidArgument, Message: "bad message"}
	}
	return nil
}

func (q quiet) Closed(st *Stream, err error) { q.w.event("closed %d %v", st.h.ID(), err) }

type loud struct{ quiet }

func (l loud) HalfClosed(st *Stream) error { l.w.event("halfclosed %d", st.h.ID()); return nil }
func (l loud) Drained(st *Stream)          { l.w.event("drained %d", st.h.ID()) }

func (w *theatre) methods(s *Server) {
	s.giving.every = time.Hour
	s.cfg.Trace = &Trace{
		Refused:   func(_ *Session, m string, why Reason, _ *Status) { w.event("refused %s: %v", m, why) },
		Ended:     func(_ *Session, m string, why Reason, _ *Status) { w.event("ended %s: %v", m, why) },
		Dismissed: func(*Session) { w.event("dismissed") },
		State:     func(from, to bounds.State, of bounds.Resource) { w.event("%v to %v: %v", from, to, of) },
	}
	s.cfg.PanicReport = func(method string, v any, _ []byte) { w.event("panic in %s: %v", method, v) }
	opens := func(h Handler) func(st *Stream) (Handler, error) {
		return func(st *Stream) (Handler, error) {
			w.streams[int(st.h.ID())] = st
			w.event("open %d %q", st.h.ID(), st.Header())
			return h, nil
		}
	}
	s.Handle("/t/Open", Method{Open: opens(loud{quiet{w}})})
	s.Handle("/t/Quiet", Method{Open: opens(quiet{w}), Twin: "/t/Unary"})
	s.Handle("/t/Long", Method{Open: opens(quiet{w}), Limits: Limits{Idle: -1}})
	s.Handle("/t/Vital", Method{Open: opens(quiet{w}), Vital: true})
	s.Handle("/t/Refuse", Method{Open: func(*Stream) (Handler, error) { return nil, &Status{Code: PermissionDenied, Message: "no"} }})
	s.Handle("/t/Unary", Method{Unary: func(st *Stream, m []byte) ([]byte, error) {
		switch string(m) {
		case "fail":
			return nil, &Status{Code: Aborted, Message: "as asked for", Details: []byte{1, 2}}
		case "panic":
			panic("as asked for")
		}
		st.SetTrailer(Metadata{{"served", "yes"}})
		return append([]byte("re: "), m...), nil
	}})
}

// do plays a command of the peer's.
func (w *theatre) do(c script.Command) {
	p, args := w.p, c.Args
	end := len(args) > 0 && slices.Contains(args, "end")
	args = slices.DeleteFunc(slices.Clone(args), func(s string) bool { return s == "end" })
	num := func(i int) int {
		n, err := strconv.Atoi(args[i])
		if err != nil {
			w.t.Fatal(c, err)
		}
		return n
	}
	switch c.Name {
	case "greet":
		var s []h2.Setting
		if len(args) > 0 {
			s = append(s, setting(args[0]))
		}
		p.greet(s...)
	case "open":
		var more []string
		for _, a := range args[1:] {
			k, v, _ := strings.Cut(a, "=")
			more = append(more, k, v)
		}
		p.open(args[0], end, more...)
	case "headers":
		var b []byte
		for _, a := range args {
			k, v, _ := strings.Cut(a, "=")
			b = h2.AppendField(b, k, v)
		}
		p.feed(h2.AppendHeaders(nil, p.next, b, end, h2.MinMaxFrame))
		p.next += 2
	case "msg":
		p.data(uint32(num(0)), message(args[1]), end)
	case "data":
		b, err := hex.DecodeString(strings.Join(args[1:], ""))
		if err != nil {
			w.t.Fatal(c, err)
		}
		p.data(uint32(num(0)), b, end)
	case "half":
		p.feed(h2.AppendHeader(nil, h2.Header{Type: h2.FrameHeaders, Stream: p.next}))
	case "rst":
		p.feed(h2.AppendRSTStream(nil, uint32(num(0)), h2.Code(num(1))))
	case "window":
		p.feed(h2.AppendWindowUpdate(nil, uint32(num(0)), uint32(num(1))))
	case "settings":
		p.feed(h2.AppendSettings(nil, setting(args[0])))
	case "ping", "ack":
		var data [8]byte
		copy(data[:], args[0])
		p.feed(h2.AppendPing(nil, c.Name == "ack", data))
	default:
		w.more(c, args)
	}
}

func setting(s string) h2.Setting {
	_, v, _ := strings.Cut(s, "=")
	n, _ := strconv.Atoi(v)
	return h2.Setting{ID: h2.SettingInitialWindowSize, Value: uint32(n)}
}

// more plays a command of the connection's or the user's.
func (w *theatre) more(c script.Command, args []string) {
	p := w.p
	switch c.Name {
	case "wait":
		d, err := time.ParseDuration(args[0])
		if err != nil {
			w.t.Fatal(c, err)
		}
		w.pass(d, d)
	case "pass":
		d, err := time.ParseDuration(args[0])
		if err != nil {
			w.t.Fatal(c, err)
		}
		w.pass(d, time.Second)
	case "room":
		p.l.room, _ = strconv.Atoi(args[0])
	case "state":
		for s := range bounds.State(bounds.States) {
			if s.String() == args[0] {
				w.short.verdict = bounds.Verdict{State: s, Resource: bounds.Resource(append(args, "")[1]), Back: 1500 * time.Millisecond}
			}
		}
	case "look":
		p.srv.lookAround()
	case "drained":
		p.s.Drained()
	case "lose":
		p.s.Lost(errors.New("reset"))
	case "drain":
		p.s.Drain()
	case "close":
		p.s.Close()
	case "do":
		id, _ := strconv.Atoi(args[0])
		w.user(w.streams[id], args[1], args[2:])
	default:
		w.t.Fatalf("line %d: no such command: %s", c.Line, c)
	}
}

// pass lets time go by, in steps.
func (w *theatre) pass(d, step time.Duration) {
	for l := w.p.l; d > 0; d -= step {
		l.now = l.now.Add(min(d, step))
		l.heap.Advance(l.now)
	}
}

func (w *theatre) user(st *Stream, what string, args []string) {
	var err error
	text := strings.Join(args, " ")
	md := Metadata{}
	for _, a := range args {
		k, v, _ := strings.Cut(a, "=")
		md = append(md, Pair{k, v})
	}
	switch what {
	case "emit":
		err = st.Emit([]byte(text))
	case "emits": // a large one
		n, _ := strconv.Atoi(text)
		err = st.Emit(make([]byte, n))
	case "send":
		err = st.Send([]byte(text))
	case "post": // which sends in both ways
		err = st.Post(func(st *Stream) {
			st.Send([]byte("first"))
			st.Emit([]byte("second"))
		})
	case "message":
		m := NewMessage([]byte(text))
		err = st.SendMessage(m)
		m.Release()
	case "finish":
		if len(args) == 0 {
			st.Finish(nil)
		} else {
			code, _ := strconv.Atoi(args[0])
			st.Finish(&Status{Code: Code(code), Message: strings.Join(args[1:], " ")})
		}
	case "cancel":
		st.Cancel()
	case "header":
		err = st.SetHeader(md)
	case "sendheader":
		err = st.SendHeader(md)
	case "trailer":
		err = st.SetTrailer(md)
	case "pause":
		st.Pause()
	case "resume":
		st.Resume()
	case "context":
		err = st.Context().Err()
		if err == nil && st.Context().Done() == nil {
			err = context.Canceled
		}
	default:
		w.t.Fatalf("no such deed: %s", what)
	}
	if err != nil {
		w.event("%v", err)
	}
}

// show adds what the session has sent to the trace.
func (w *theatre) show() {
	for _, f := range w.p.frames() {
		w.event("> %s", w.describe(f))
	}
	if l := w.p.l; l.closed && !w.gone {
		w.gone = true
		w.event("> close")
	}
}

func (w *theatre) describe(f frame) string {
	end := ""
	if f.Flags.Has(h2.FlagEndStream) && (f.Type == h2.FrameData || f.Type == h2.FrameHeaders) {
		end = " end"
	}
	switch f.Type {
	case h2.FrameHeaders:
		fields, err := w.dec.DecodeFull(f.p)
		if err != nil {
			w.t.Error(err)
		}
		var s strings.Builder
		for _, h := range fields {
			if h.Name == pushbackKey { // some of it is random
				fmt.Fprintf(&s, " %s", h.Name)
			} else if h.Name != "content-type" || h.Value != "application/grpc" {
				fmt.Fprintf(&s, " %s=%q", h.Name, h.Value)
			}
		}
		return fmt.Sprintf("HEADERS %d%s%s", f.Stream, s.String(), end)
	case h2.FrameData:
		if len(f.p) > 60 {
			return fmt.Sprintf("DATA %d (%d bytes)%s", f.Stream, len(f.p), end)
		}
		return fmt.Sprintf("DATA %d %q%s", f.Stream, f.p, end)
	case h2.FrameRSTStream:
		return fmt.Sprintf("RST_STREAM %d %v", f.Stream, h2.Code(binary.BigEndian.Uint32(f.p)))
	case h2.FrameSettings:
		if f.Flags.Has(h2.FlagAck) {
			return "SETTINGS ack"
		}
		return "SETTINGS"
	case h2.FramePing:
		if f.Flags.Has(h2.FlagAck) {
			return fmt.Sprintf("PING ack %q", bytes.TrimRight(f.p, "\x00"))
		}
		return fmt.Sprintf("PING %q", f.p)
	case h2.FrameGoAway:
		return fmt.Sprintf("GOAWAY %d %v %q", binary.BigEndian.Uint32(f.p), h2.Code(binary.BigEndian.Uint32(f.p[4:])), f.p[8:])
	case h2.FrameWindowUpdate:
		return fmt.Sprintf("WINDOW_UPDATE %d %d", f.Stream, binary.BigEndian.Uint32(f.p))
	}
	return fmt.Sprintf("frame %d", f.Type)
}
