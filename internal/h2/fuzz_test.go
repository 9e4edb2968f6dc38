package h2

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// FuzzFrames feeds both ends any bytes, once in one piece and once in small
// ones. It must not panic, must say the same, must send only whole frames, must
// leave behind no more than one frame, and must keep its books straight.
func FuzzFrames(f *testing.F) {
	seedFrames(f)
	f.Fuzz(func(t *testing.T, client bool, piece uint8, p []byte) {
		whole := feedAll(t, client, p, 1<<20)
		if parts := feedAll(t, client, p, 1+int(piece)); !slices.Equal(whole, parts) {
			t.Errorf("in one piece:\n%s\nin pieces of %d:\n%s",
				strings.Join(whole, "\n"), 1+int(piece), strings.Join(parts, "\n"))
		}
	})
}

func seedFrames(f *testing.F) {
	var e Encoder
	p := AppendHeaders(nil, 1, grpcRequest(&e), false, 20)
	p = AppendData(p, 1, make([]byte, 50), false)
	p = AppendWindowUpdate(p, 1, 100)
	p = AppendSettings(p, Setting{SettingInitialWindowSize, 10}, Setting{SettingMaxFrameSize, 20000})
	p = AppendPing(p, false, [8]byte{1})
	p = AppendHeaders(p, 3, grpcRequest(&e), true, MinMaxFrame)
	p = AppendRSTStream(p, 3, Cancel)
	p = AppendData(p, 1, nil, true)
	p = AppendGoAway(p, 0, NoError, "bye")
	f.Add(false, uint8(3), p)
	p = AppendHeaders(nil, 1, AppendIndexed(nil, IndexStatus200), false, 20)
	p = AppendData(p, 1, make([]byte, 50), false)
	p = AppendHeaders(p, 1, AppendField(nil, "grpc-status", "0"), true, 20)
	f.Add(true, uint8(9), p)
}

// feedAll plays p to a Core whose owner answers everything, and checks it after
// every piece.
func feedAll(t *testing.T, client bool, p []byte, piece int) []string {
	w := newWitness(Config{Client: client, MaxStreams: 5, StreamWindow: 2000, ConnWindow: 70000, MaxHeaderList: 500})
	c := &w.core
	var credit []*flow
	w.react = func(event string, st *flow) {
		switch {
		case event == "request":
			c.SendHeaders(&st.Stream, AppendIndexed(nil, IndexStatus200), st.ID()%3 == 0)
		case event == "reset" || st.end:
			c.Release(&st.Stream)
		}
		credit = append(credit, st)
	}
	begin := AppendSettings(nil)
	if !client {
		begin = append([]byte(Preface), begin...)
	}
	w.feed(append(begin, AppendSettingsAck(nil)...), 1<<20)
	for i := range 3 * bit(client) {
		st := &flow{}
		st.Owner = st
		c.Open(&st.Stream, nil, i == 2)
		w.all[st.ID()] = st
	}
	w.sent()
	w.check = func() { audit(t, w) }
	w.feed(p, piece)
	for _, st := range credit { // at the end, so that it does not depend on the pieces
		c.Consume(&st.Stream, 1<<20)
	}
	c.ConsumeConn(1 << 20)
	w.sent()
	audit(t, w)
	return w.trace
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// audit checks what must be true of a Core at any time.
func audit(t *testing.T, w *witness) {
	t.Helper()
	c := &w.core
	if len(w.rest) >= HeaderLen+int(c.limits.MaxFrame) {
		t.Fatalf("%d bytes left behind", len(w.rest))
	}
	if c.recvWindow < 0 || int64(c.recvWindow)+int64(c.recvOwed) > int64(c.connTarget) {
		t.Fatalf("the connection's window is %d, %d owed, of %d", c.recvWindow, c.recvOwed, c.connTarget)
	}
	if c.block != nil && (c.block.size > c.limits.MaxHeaderBlock || c.block.frames > c.limits.MaxContinuations) {
		t.Fatal("a header block is too large")
	}
	if (c.data != nil) != (c.dataRest > 0) {
		t.Fatalf("%d bytes of DATA to come, of stream %v", c.dataRest, c.data)
	}
	streams := c.Streams(nil)
	if len(streams) != c.Len() || c.Active() < c.Len() {
		t.Fatalf("%d streams, counted %d, active %d", len(streams), c.Len(), c.Active())
	}
	for _, st := range streams {
		if c.Find(st.ID()) != st || st.State() == Closed || st.State() == Idle || st.Owner.over {
			t.Fatalf("stream %d should not be there", st.ID())
		}
		if recv := int64(c.window) + int64(st.recvGain); recv < int64(min(0, c.window-InitialWindow)) || st.owed < 0 || recv+int64(st.owed) > MaxWindow {
			t.Fatalf("stream %d: window %d, owed %d", st.ID(), recv, st.owed)
		}
		if c.sendable(st) > MaxWindow {
			t.Fatalf("stream %d: send window %d", st.ID(), c.sendable(st))
		}
	}
}

// FuzzBlock decodes any header block, split at any point, and holds what is
// shown against the fields that hpack finds in it.
func FuzzBlock(f *testing.F) {
	f.Add(grpcRequest(new(Encoder)), uint8(10))
	f.Add(AppendField(grpcRequest(new(Encoder)), "x-bin", "AAEC"), uint8(1))
	f.Add(AppendField(grpcRequest(new(Encoder)), "Upper", "case"), uint8(2))
	f.Add(AppendField(grpcRequest(new(Encoder)), "te", "gzip"), uint8(2))
	f.Add(AppendField(grpcRequest(new(Encoder)), "blanks", " \ta b\t "), uint8(2))
	f.Fuzz(func(t *testing.T, block []byte, cut uint8) {
		const limit, longest = 1000, 1 << 16
		if len(block) > longest {
			t.Skip("what the Core refuses unread")
		}
		w := newWitness(Config{MaxHeaderList: limit, MaxHeaderBlock: longest})
		w.feed(AppendSettings([]byte(Preface)), 1<<20)
		w.trace = nil
		var shown *Block
		w.react = func(event string, st *flow) {}
		keep := &keeper{witness: w, shown: &shown}
		w.core.sink = keep
		w.feed(AppendHeaders(nil, 1, block, false, max(int(cut), len(block)/10+1)), 1<<20)
		d := hpack.NewDecoder(4096, nil)
		d.SetMaxStringLength(longest)
		fields, err := d.DecodeFull(block)
		if (err != nil) != (w.core.err != nil) {
			t.Fatalf("hpack says %v, the Core %v", err, w.core.err)
		}
		if err == nil {
			judge(t, fields, limit, shown)
		}
	})
}

// keeper keeps the block that a witness is shown.
type keeper struct {
	*witness
	shown **Block
}

func (k *keeper) Request(b *Block, end bool) {
	c := *b
	c.Fields = slices.Clone(b.Fields)
	*k.shown = &c
	k.witness.Request(b, end)
}

// judge says, in the plainest way, whether a request's fields are in order, and
// holds what was shown against that.
func judge(t *testing.T, fields []hpack.HeaderField, limit int, shown *Block) {
	size, tooLarge := 0, false
	var fit []hpack.HeaderField
	for _, f := range fields {
		if size += len(f.Name) + len(f.Value) + 32; size > limit {
			tooLarge = true
			break
		}
		if !strings.HasPrefix(f.Name, ":") {
			f.Value = strings.Trim(f.Value, " \t")
		}
		fit = append(fit, f)
	}
	if !inOrder(fit, tooLarge) {
		if shown != nil {
			t.Fatalf("%q was shown", fields)
		}
		return
	}
	if shown == nil {
		t.Fatalf("%q was not shown", fields)
	}
	if shown.TooLarge != tooLarge {
		t.Fatalf("too large: %v, want %v", shown.TooLarge, tooLarge)
	}
	pseudo := map[string]string{":method": shown.Method, ":scheme": shown.Scheme, ":authority": shown.Authority, ":path": shown.Path}
	regular := fit[:0:0]
	for _, f := range fit {
		if v, ok := pseudo[f.Name]; ok && v != f.Value {
			t.Fatalf("%s is %q, want %q", f.Name, v, f.Value)
		} else if !ok {
			regular = append(regular, f)
		}
	}
	if !slices.Equal(regular, shown.Fields) {
		t.Fatalf("fields %q, want %q", shown.Fields, regular)
	}
}

func inOrder(fields []hpack.HeaderField, cut bool) bool {
	count := map[string]int{}
	value := map[string]string{}
	regular := false
	length := ""
	for _, f := range fields {
		pseudo := strings.HasPrefix(f.Name, ":")
		count[f.Name]++
		value[f.Name] = f.Value
		switch {
		case strings.ContainsAny(f.Value, "\x00\r\n") || strings.Trim(f.Value, " \t") != f.Value:
			return false
		case pseudo && (regular || count[f.Name] > 1):
			return false
		case pseudo && !slices.Contains([]string{":method", ":scheme", ":authority", ":path"}, f.Name):
			return false
		case pseudo:
			continue
		}
		regular = true
		switch f.Name {
		case "", "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
			return false
		case "te":
			if f.Value != "trailers" {
				return false
			}
		case "host":
			if a, ok := value[":authority"]; count["host"] > 1 || ok && a != "" && !strings.EqualFold(a, f.Value) {
				return false
			}
		case "content-length":
			n := strings.TrimLeft(f.Value, "0")
			if f.Value == "" || strings.Trim(f.Value, "0123456789") != "" || len(f.Value) > 18 || count[f.Name] > 1 && n != length {
				return false
			}
			length = n
		}
		if bytes.ContainsFunc([]byte(f.Name), func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ':' || r >= 'A' && r <= 'Z' }) {
			return false
		}
	}
	method, scheme, path := count[":method"], count[":scheme"], count[":path"]
	switch {
	case cut && method+scheme+path < 3:
		return true
	case value[":method"] == "CONNECT":
		return scheme+path == 0 && value[":authority"] != ""
	case value[":method"] == "" || value[":scheme"] == "" || value[":path"] == "":
		return false
	}
	web := value[":scheme"] == "http" || value[":scheme"] == "https"
	return !web || value[":path"][0] == '/' || value[":path"] == "*"
}

// FuzzMessage cuts any bytes into messages, in pieces and at once.
func FuzzMessage(f *testing.F) {
	f.Add(append(AppendPrefix(nil, true, 3), "abc"...), uint8(2), uint16(100))
	f.Add(AppendPrefix(append(AppendPrefix(nil, false, 600), make([]byte, 600)...), false, 0), uint8(200), uint16(1000))
	f.Fuzz(func(t *testing.T, p []byte, piece uint8, most uint16) {
		var want []string
		var wantErr error
		for q := p; ; {
			msg, comp, n, err := NextMessage(q, int(most))
			if err != nil || n == 0 {
				wantErr = err
				break
			}
			want = append(want, fmt.Sprintf("%v %q", comp, msg))
			q = q[n:]
		}
		got, err := assembleAll(p, 1+int(piece), int(most))
		if !slices.Equal(got, want) || err != wantErr {
			t.Fatalf("assembled %q %v, want %q %v", got, err, want, wantErr)
		}
	})
}

func assembleAll(p []byte, piece, most int) (got []string, err error) {
	var a Assembler
	defer a.Reset()
	for len(p) > 0 {
		part := p[:min(piece, len(p))]
		p = p[len(part):]
		for len(part) > 0 {
			n, done, err := a.Add(part, most)
			if err != nil {
				return got, err
			}
			if part = part[n:]; done {
				msg, comp := a.Message()
				got = append(got, fmt.Sprintf("%v %q", comp, msg))
				a.Reset()
			}
		}
	}
	return got, nil
}

// TestCorpus keeps the committed corpora from being lost unseen.
func TestCorpus(t *testing.T) {
	for _, name := range []string{"FuzzFrames", "FuzzBlock", "FuzzSession", "FuzzMessage"} {
		if files, err := filepath.Glob(filepath.Join("testdata", "fuzz", name, "*")); err != nil || len(files) == 0 {
			t.Errorf("no corpus of %s (%v)", name, os.ErrNotExist)
		}
	}
}
