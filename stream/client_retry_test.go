package stream

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/weir-go/weir/internal/h2"
)

// What the server has not looked at is opened again elsewhere, as it was, once.
func TestRefusedIsOpenedAgain(t *testing.T) {
	g := newStage(t, ClientConfig{})
	st, h := g.start("/a/B", CallOptions{})
	a := g.connect()
	for _, m := range []string{"one", "two"} {
		st.Send([]byte(m))
	}
	st.CloseSend()
	g.settle()
	a.hears("open 1 /a/B", `data 1 "\x03one\x00\x00\x00\x00\x03two" end`)
	if held := g.c.Stats().Held; held == 0 {
		t.Error("nothing is kept")
	}
	a.refuse(1)
	g.holds(1)
	b := g.connect()
	b.hears("open 1 /a/B", `data 1 "\x03one\x00\x00\x00\x00\x03two" end`)
	b.answer(1, "yes")
	if held := g.c.Stats().Held; held != 0 {
		t.Errorf("%d bytes are kept after the answer", held)
	}
	b.finish(1, "0")
	if got := strings.Join(h.told, ", "); got != "headers, yes, closed" || h.ended() != "OK" {
		t.Errorf("told %s, ended with %s", got, h.ended())
	}
	if s := g.c.Stats(); s.Refused != 1 || s.Retries != 1 {
		t.Errorf("%+v", s)
	}
}

// With one connection it is that one again.
func TestRefusedWithOneConnection(t *testing.T) {
	g := newStage(t, ClientConfig{MaxConns: 1})
	_, h := g.start("/a/B", CallOptions{})
	a := g.connect()
	a.refuse(1)
	a.hears("open 1 /a/B", "open 3 /a/B")
	a.refuse(3)
	if h.ended() != "UNAVAILABLE" {
		t.Errorf("refused twice it ends with %q", h.ended())
	}
}

// What the caller has seen something of is not opened again, nor what is too
// long to be kept.
func TestRefusedTooLate(t *testing.T) {
	g := newStage(t, ClientConfig{Config: Config{SendLimit: 1000}})
	_, h1 := g.start("/a/B", CallOptions{})
	a := g.connect()
	a.answer(1, "")
	a.refuse(1)
	st, h2 := g.start("/a/B", CallOptions{})
	for range 3 {
		st.Send(make([]byte, 600))
		g.settle()
	}
	a.refuse(3)
	if h1.ended() != "UNAVAILABLE" || h2.ended() != "UNAVAILABLE" || g.c.Stats().Retries != 0 {
		t.Errorf("they end with %q and %q", h1.ended(), h2.ended())
	}
	g.holds(0, 0)
}

// What is sent while a stream moves arrives once, behind what was sent before.
func TestSendWhileMoving(t *testing.T) {
	g := newStage(t, ClientConfig{MaxConns: 1})
	st, _ := g.start("/a/B", CallOptions{})
	a := g.connect()
	st.Send([]byte("1"))
	g.settle()
	a.s.begin()          // as if all of this happened in one turn:
	st.Send([]byte("2")) // left with the session that the stream leaves
	a.feed(h2rst(1))     //
	st.Send([]byte("3")) // on no session
	a.s.flush()          //
	st.Send([]byte("4")) // wherever it is now
	g.settle()           //
	st.Send([]byte("5")) // on the new one
	g.settle()
	all := strings.Join(a.heard(), " ")
	all = all[strings.Index(all, "open 3"):]
	digits := strings.Map(func(r rune) rune {
		if r >= '1' && r <= '9' {
			return r
		}
		return -1
	}, strings.NewReplacer("open 3", "", "data 3", "", `\x01`, "", `\x00`, "").Replace(all))
	if digits != "12345" {
		t.Errorf("the server hears %s: %s", digits, all)
	}
}

// GOAWAY: what the server has begun goes on, the rest goes elsewhere, and the
// connection ends with its last stream.
func TestGoAway(t *testing.T) {
	g := newStage(t, ClientConfig{MaxConns: 1})
	_, h1 := g.start("/a/One", CallOptions{})
	g.start("/a/Two", CallOptions{})
	a := g.connect()
	a.hears("open 1 /a/One", "open 3 /a/Two")
	a.feed(h2.AppendGoAway(nil, h2.MaxID, h2.NoError, ""))
	g.holds(0, 2)
	g.start("/a/Three", CallOptions{})
	b := g.connect()
	b.hears("open 1 /a/Three")
	a.feed(h2.AppendGoAway(nil, 1, h2.NoError, ""))
	g.holds(0, 1, 2)
	b.hears("open 3 /a/Two")
	a.heard()
	if a.l.closed {
		t.Fatal("closed with a stream")
	}
	a.answer(1, "x")
	a.finish(1, "0")
	if h1.ended() != "OK" || !a.l.closed {
		t.Errorf("the stream has ended with %q, the connection is closed: %v", h1.ended(), a.l.closed)
	}
	a.lose()
	if s := g.c.Stats(); s.GoAways != 2 || s.Retries != 1 || s.Conns != 1 {
		t.Errorf("%+v", s)
	}
}

// The connection is lost: nobody knows what the server has done. What was still
// waiting for it is not lost.
func TestConnectionLost(t *testing.T) {
	g := newStage(t, ClientConfig{MaxConns: 1})
	_, h1 := g.start("/a/One", CallOptions{})
	a := g.connect(limit(1))
	_, h2 := g.start("/a/Two", CallOptions{})
	g.holds(1, 1)
	a.lose()
	if h1.ended() != "UNAVAILABLE" || h2.ended() != "" {
		t.Errorf("they have ended: %q and %q", h1.ended(), h2.ended())
	}
	g.connect().hears("open 1 /a/Two")
}

// A stream that was placed on a connection which is lost before it is opened has
// not been refused: it has its other connection, and its retry.
func TestPlacedOnLostConnection(t *testing.T) {
	g := newStage(t, ClientConfig{MaxConns: 1})
	g.start("/a/One", CallOptions{})
	a := g.connect()
	h := newTeller()
	if _, err := g.c.Start("/a/Two", CallOptions{}, h); err != nil { // in the inbox
		t.Fatal(err)
	}
	a.lose()
	b := g.connect()
	b.hears("open 1 /a/Two")
	b.refuse(1)
	b.hears("open 3 /a/Two")
	if h.ended() != "" {
		t.Error(h.ended())
	}
}

// The server lowers its limit while a stream is on its way.
func TestLimitLowered(t *testing.T) {
	g := newStage(t, ClientConfig{MaxConns: 1})
	g.start("/a/One", CallOptions{})
	a := g.connect(limit(2))
	if _, err := g.c.Start("/a/Two", CallOptions{}, nil); err != nil {
		t.Fatal(err)
	}
	a.feed(h2.AppendSettings(nil, limit(1))) // read before the inbox
	g.holds(1, 1)
	a.feed(h2.AppendSettings(nil, limit(2)))
	g.holds(0, 2)
}

// Every answer that a server, or what poses as one, may give, and its status.
func TestAnswers(t *testing.T) {
	grpc := []string{":status", "200", "content-type", "application/grpc"}
	with := func(pairs ...string) []string { return append(append([]string{}, grpc...), pairs...) }
	type far1 = *far
	for _, c := range []struct {
		name string
		do   func(f far1)
		code Code
		text string
		told string
	}{
		{"a status alone", func(f far1) { f.headers(1, true, with("grpc-status", "5", "grpc-message", "no%20way")...) }, NotFound, "no way", ""},
		{"OK alone", func(f far1) { f.headers(1, true, with("grpc-status", "0")...) }, OK, "", ""},
		{"a message and OK", func(f far1) { f.answer(1, "m"); f.finish(1, "0") }, OK, "", "headers m"},
		{"a message and a status", func(f far1) { f.answer(1, "m"); f.headers(1, true, "grpc-status", "9") }, FailedPrecondition, "", "headers m"},
		{"a code that nobody knows", func(f far1) { f.answer(1, ""); f.finish(1, "77") }, Code(77), "", "headers"},
		{"no code", func(f far1) { f.answer(1, ""); f.headers(1, true, "x", "y") }, Unknown, "no grpc-status", "headers"},
		{"no code, alone", func(f far1) { f.headers(1, true, grpc...) }, Unknown, "not gRPC", ""},
		{"a code that is none", func(f far1) { f.answer(1, ""); f.finish(1, "-1") }, Unknown, "malformed", "headers"},
		{"no trailers", func(f far1) { f.answer(1, ""); f.feed(h2.AppendData(nil, 1, message("m"), true)) }, Internal, "no trailers", "headers m"},
		{"half a message", func(f far1) {
			f.answer(1, "")
			f.feed(h2.AppendData(nil, 1, message("m")[:5], false))
			f.finish(1, "0")
		}, Internal, "inside a message", "headers"},
		{"half a message and a status", func(f far1) {
			f.answer(1, "")
			f.feed(h2.AppendData(nil, 1, message("m")[:5], false))
			f.finish(1, "15")
		}, DataLoss, "", "headers"},
		{"a message too large", func(f far1) { f.answer(1, strings.Repeat("x", 2001)) }, ResourceExhausted, "larger than max (2000)", "headers"},
		{"compressed without a word", func(f far1) {
			f.answer(1, "")
			f.feed(h2.AppendData(nil, 1, append(h2.AppendPrefix(nil, true, 1), 'x'), false))
		}, Internal, "compressed flag", "headers"},
		{"compressed by whatever", func(f far1) {
			f.headers(1, false, with("grpc-encoding", "zip")...)
			f.feed(h2.AppendData(nil, 1, append(h2.AppendPrefix(nil, true, 1), 'x'), false))
		}, Internal, "zip", "headers"},
		{"metadata that is not base64", func(f far1) { f.headers(1, false, with("a-bin", "####")...) }, Internal, "a-bin", ""},
		{"400", func(f far1) { f.headers(1, true, ":status", "400") }, Internal, "400", ""},
		{"401", func(f far1) { f.headers(1, true, ":status", "401") }, Unauthenticated, "401", ""},
		{"403", func(f far1) { f.headers(1, true, ":status", "403") }, PermissionDenied, "403", ""},
		{"404", func(f far1) {
			f.headers(1, false, ":status", "404", "content-type", "text/html")
			f.feed(h2.AppendData(nil, 1, []byte("nothing here"), true))
		}, Unimplemented, "nothing here", ""},
		{"429", func(f far1) { f.headers(1, true, ":status", "429") }, Unavailable, "429", ""},
		{"503 with trailers", func(f far1) {
			f.headers(1, false, ":status", "503", "content-type", "application/grpc")
			f.headers(1, true, "grpc-status", "0")
		}, Unavailable, "503", ""},
		{"200 of a web server", func(f far1) { f.headers(1, true, ":status", "200", "content-type", "text/html") }, Unknown, "text/html", ""},
		{"301", func(f far1) { f.headers(1, true, ":status", "301") }, Unknown, "301", ""},
		{"first 100, then gRPC", func(f far1) { f.headers(1, false, ":status", "100"); f.answer(1, "m"); f.finish(1, "0") }, OK, "", "headers m"},
		{"CANCEL", func(f far1) { f.feed(h2.AppendRSTStream(nil, 1, h2.Cancel)) }, Canceled, "", ""},
		{"NO_ERROR", func(f far1) { f.feed(h2.AppendRSTStream(nil, 1, h2.NoError)) }, Internal, "NO_ERROR", ""},
		{"PROTOCOL_ERROR", func(f far1) { f.feed(h2.AppendRSTStream(nil, 1, h2.ProtocolError)) }, Internal, "PROTOCOL_ERROR", ""},
		{"ENHANCE_YOUR_CALM", func(f far1) { f.feed(h2.AppendRSTStream(nil, 1, h2.EnhanceYourCalm)) }, ResourceExhausted, "", ""},
		{"INADEQUATE_SECURITY", func(f far1) { f.feed(h2.AppendRSTStream(nil, 1, h2.InadequateSecurity)) }, PermissionDenied, "", ""},
		{"data before a header", func(f far1) { f.feed(h2.AppendData(nil, 1, message("m"), false)) }, Internal, "broken the protocol", ""},
		{"a header without a status", func(f far1) { f.headers(1, false, "content-type", "application/grpc") }, Internal, "broken the protocol", ""},
		{"a push", func(f far1) { f.feed([]byte{0, 0, 4, byte(h2.FramePushPromise), 4, 0, 0, 0, 1, 0, 0, 0, 2}) }, Unavailable, "PUSH_PROMISE", ""},
		{"a header list too large", func(f far1) { f.headers(1, false, with("x", strings.Repeat("y", 20_000))...) }, Internal, "too large", ""},
		{"goodbye", func(f far1) { f.answer(1, ""); f.feed(h2.AppendGoAway(nil, 1, h2.InternalError, "bug")); f.lose() }, Unavailable, `INTERNAL_ERROR "bug"`, "headers"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newStage(t, ClientConfig{Config: Config{MaxRecv: 2000}})
			_, h := g.start("/a/B", CallOptions{})
			f := g.connect()
			c.do(f)
			select {
			case err := <-h.closed:
				if s := StatusOf(err); s.Code != c.code || !strings.Contains(s.Message, c.text) {
					t.Errorf("it ends with %v, want %v with %q", s, c.code, c.text)
				}
			default:
				t.Fatal("it does not end")
			}
			if got := strings.Join(h.told, " "); got != strings.TrimSpace(c.told+" closed") {
				t.Errorf("the handler was told: %s", got)
			}
			if f.s.core.Len() != 0 && !f.l.closed && !f.lost {
				t.Error("the stream is still open")
			}
		})
	}
}

// What a request looks like.
func TestRequestHeader(t *testing.T) {
	g := newStage(t, ClientConfig{Authority: "weir.test", Config: Config{Compressors: []Compressor{Gzip(0)}}})
	g.start("/a/B", CallOptions{Header: Metadata{{"k", "v"}, {"k-bin", "\x00\x01"}}, Compressor: "gzip", Timeout: 90 * 60 * 1e9, ContentType: "application/grpc+x"})
	f := g.connect()
	for n := range 2 { // the second one is written with the table of the first
		p := f.l.out
		var h h2.Header
		for h = h2.ParseHeader(p); h.Type != h2.FrameHeaders; h = h2.ParseHeader(p) {
			p = p[h2.HeaderLen+int(h.Length):]
		}
		fields, err := f.dec.DecodeFull(p[h2.HeaderLen : h2.HeaderLen+int(h.Length)])
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, x := range fields {
			if x.Name == "grpc-timeout" {
				if d, ok := parseTimeout(x.Value); !ok || d > 90*60*1e9 || d < 89*60*1e9 {
					t.Errorf("grpc-timeout is %s", x.Value)
				}
				continue
			}
			got = append(got, x.Name+"="+x.Value)
		}
		want := ":method=POST :scheme=http :path=/a/B :authority=weir.test content-type=application/grpc+x te=trailers user-agent=weir grpc-accept-encoding=gzip grpc-encoding=gzip k=v k-bin=AAE"
		if s := strings.Join(got, " "); s != want {
			t.Errorf("it is %s, want %s", s, want)
		}
		f.l.out = f.l.out[:0]
		if n == 0 {
			g.start("/a/B", CallOptions{Header: Metadata{{"k", "v"}, {"k-bin", "\x00\x01"}}, Compressor: "gzip", Timeout: 90 * 60 * 1e9, ContentType: "application/grpc+x"})
		}
	}
	if _, h := g.start("/a/B", CallOptions{Header: Metadata{{"k", strings.Repeat("v", 100)}}}); h.ended() != "" {
		t.Error(h.ended())
	}
	f.feed(h2.AppendSettings(nil, h2.Setting{ID: h2.SettingMaxHeaderListSize, Value: 100}))
	if _, h := g.start("/a/B", CallOptions{Header: Metadata{{"k", strings.Repeat("v", 100)}}}); h.ended() != "INTERNAL" {
		t.Errorf("a list larger than the server takes ends with %q", h.ended())
	}
	for path, o := range map[string]CallOptions{"a": {}, "/a": {}, "//": {}, "/a/": {}} {
		if _, err := g.c.Start(path, o, nil); err != ErrMethod {
			t.Errorf("%q: %v", path, err)
		}
	}
	if _, err := g.c.Start("/a/B", CallOptions{Header: Metadata{{":path", "x"}}}, nil); err != ErrMetadata {
		t.Error(err)
	}
}

// A refused stream that had its turn to come on the old connection has it on the
// new one only, and the others' turns are not lost.
func TestRefusedWithAQueue(t *testing.T) {
	g := newStage(t, ClientConfig{})
	one, _ := g.start("/a/One", CallOptions{})
	two, _ := g.start("/a/Two", CallOptions{})
	three, _ := g.start("/a/Three", CallOptions{})
	a := g.connect()
	a.l.room = 0
	a.s.Drained()
	for i, st := range []*Stream{one, two, three} {
		st.Send([]byte{'a' + byte(i)})
		g.settle()
	}
	a.heard()
	a.refuse(3)
	b := g.connect()
	b.hears("open 1 /a/Two", `data 1 "\x01b"`)
	a.l.room = -1
	a.s.Drained()
	a.hears(`data 1 "\x01a"`, `data 5 "\x01c"`)
	one.CloseSend()
	two.CloseSend()
	g.settle()
	a.hears(`data 1 "" end`)
	b.hears(`data 1 "" end`)
}

// However headers are written, they say what they are to say: with one method or
// several, with metadata that comes and goes, with a table of any size.
func TestHeaderTable(t *testing.T) {
	for _, size := range []uint32{4096, 200, 60, 0} {
		g := newStage(t, ClientConfig{})
		g.start("/a/First", CallOptions{})
		f := g.connect(h2.Setting{ID: h2.SettingHeaderTableSize, Value: size})
		f.dec.SetAllowedMaxDynamicTableSize(size)
		f.heard()
		r := rand.New(rand.NewPCG(uint64(size), 3))
		for i := range 400 {
			path := []string{"/a/One", "/a/One", "/a/One", "/a/Two"}[r.IntN(4)]
			o := CallOptions{Compressor: []string{"", "", "gzip"}[r.IntN(3)]}
			if r.IntN(3) == 0 {
				o.Header = Metadata{{"k", fmt.Sprint(r.IntN(30))}, {"k-bin", "\x01"}}
			}
			if r.IntN(3) == 0 {
				o.Timeout = time.Hour
			}
			if i == 200 {
				f.feed(h2.AppendSettings(nil, h2.Setting{ID: h2.SettingHeaderTableSize, Value: size / 2}))
				f.l.out = f.l.out[:0]
			}
			g.start(path, o)
			fields, err := f.dec.DecodeFull(f.l.out[h2.HeaderLen:])
			if err != nil {
				t.Fatal(err)
			}
			f.l.out = f.l.out[:0]
			k, _ := o.Header.Value("k")
			if fieldNamed(fields, ":path") != path || fieldNamed(fields, ":method") != "POST" || fieldNamed(fields, "te") != "trailers" ||
				fieldNamed(fields, "grpc-encoding") != o.Compressor || fieldNamed(fields, "k") != k || (fieldNamed(fields, "grpc-timeout") != "") != (o.Timeout > 0) {
				t.Fatalf("call %d of %s with %+v: %v", i, path, o, fields)
			}
		}
	}
}
