package h2

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/weir-go/weir/internal/buf"
)

// TestTableModel holds the table against a map.
func TestTableModel(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 2))
	var tab table[*flow]
	want := map[uint32]*Stream[*flow]{}
	largest := 0
	for step := range 200_000 {
		id := uint32(r.IntN(3000))*2 + 1
		if step%40_000 > 30_000 { // let it shrink
			for id = range want {
				break
			}
		}
		switch s := want[id]; {
		case s != nil:
			tab.remove(s)
			delete(want, id)
		default:
			s = &Stream[*flow]{id: id}
			tab.add(s)
			want[id] = s
		}
		largest = max(largest, len(tab.slots))
		probe := uint32(r.IntN(3000))*2 + 1
		if tab.find(id) != want[id] || tab.find(probe) != want[probe] || tab.len != len(want) {
			t.Fatalf("seed %d: stream %d or %d", seed, id, probe)
		}
		if n := len(tab.slots); n > tableMin && 8*tab.len < n || 4*tab.len > 3*n {
			t.Fatalf("seed %d: %d slots for %d streams", seed, n, tab.len)
		}
	}
	for _, s := range tab.append(nil) {
		if want[s.id] != s {
			t.Fatalf("stream %d should not be there", s.id)
		}
		delete(want, s.id)
	}
	if len(want) != 0 || largest < 2048 {
		t.Errorf("%d streams missing; the table was never larger than %d", len(want), largest)
	}
}

// TestTableSpread: identifiers as they come spread well, also when long-lived
// streams stand in a row.
func TestTableSpread(t *testing.T) {
	var tab table[*flow]
	for i := range uint32(50_000) {
		tab.add(&Stream[*flow]{id: 2*i + 1})
	}
	probes, mask := 0, len(tab.slots)-1
	for i := range uint32(50_000) {
		id := 2*i + 1
		for at := tab.home(id); tab.slots[at].id != id; at = (at + 1) & mask {
			probes++
		}
	}
	if probes > 50_000 {
		t.Errorf("%d extra probes for 50,000 streams", probes)
	}
}

func TestBucket(t *testing.T) {
	s := Rate{Burst: 10, PerSecond: 5}.spacing(1, 1)
	var b bucket
	now := int64(time.Hour)
	count := func() (n int) {
		for b.take(now, s) {
			n++
		}
		return n
	}
	if n := count(); n != 10 {
		t.Errorf("a burst of %d, want 10", n)
	}
	now += int64(time.Second)
	if n := count(); n != 5 {
		t.Errorf("after a second %d, want 5", n)
	}
	now += int64(time.Hour)
	if n := count(); n != 10 {
		t.Errorf("after an hour %d, want 10", n)
	}
	b.give(s)
	b.give(s)
	if n := count(); n != 2 {
		t.Errorf("after two given back %d, want 2", n)
	}
	for range 1000 {
		b.give(s)
	}
	if n := count(); n != 10 {
		t.Errorf("after a thousand given back %d, want 10: nothing is saved up", n)
	}
	b.reset()
	if n := count(); n != 10 {
		t.Errorf("after a reset %d, want 10", n)
	}
}

func TestLimits(t *testing.T) {
	l := NewLimits(Config{})
	if l.MaxFrame != 16384 || l.MaxHeaderList != 16<<10 || l.MaxHeaderBlock != 64<<10 || l.MaxStreams != 1000 ||
		l.StreamWindow != 65535 || l.ConnWindow != 1<<20 || l.HeaderTable != 4096 || l.MaxContinuations != 16 {
		t.Errorf("%+v", l.Config)
	}
	if l.resets != (Rate{2000, 1000}.spacing(0, 0)) {
		t.Errorf("resets %+v", l.resets)
	}
	l = NewLimits(Config{MaxFrame: 1, ConnWindow: 5, StreamWindow: -1, MaxStreams: 1})
	if l.MaxFrame != 16384 || l.ConnWindow != 65535 || l.StreamWindow != 1 || l.resets != (Rate{200, 100}.spacing(0, 0)) {
		t.Errorf("%+v", l.Config)
	}
	if l = NewLimits(Config{MaxHeaderList: 1 << 20}); l.MaxHeaderBlock != 4<<20 || l.MaxContinuations != 512 {
		t.Errorf("%d bytes of a block in %d frames", l.MaxHeaderBlock, l.MaxContinuations)
	}
	if l = NewLimits(Config{MaxFrame: 1 << 30}); l.MaxFrame != MaxMaxFrame {
		t.Errorf("MaxFrame %d", l.MaxFrame)
	}
}

// TestAppendField reads back what is written, with hpack's decoder.
func TestAppendField(t *testing.T) {
	long := strings.Repeat("v", 70_000)
	fields := []hpack.HeaderField{
		{Name: ":status", Value: "404"}, {Name: "content-type", Value: "application/grpc"},
		{Name: "x", Value: ""}, {Name: "grpc-message", Value: long}, {Name: long, Value: "x"},
		{Name: "www-authenticate", Value: "a"}, {Name: "authorization", Value: "secret", Sensitive: true},
	}
	for n := range 300 { // lengths of one, two and three bytes
		fields = append(fields, hpack.HeaderField{Name: "n", Value: long[:n]})
	}
	for name := range staticNames {
		fields = append(fields, hpack.HeaderField{Name: name, Value: "v"})
	}
	var block []byte
	for _, f := range fields {
		if f.Sensitive {
			block = AppendNeverIndexed(block, f.Name, f.Value)
		} else {
			block = AppendField(block, f.Name, f.Value)
		}
	}
	got, err := hpack.NewDecoder(0, nil).DecodeFull(block)
	if err != nil || len(got) != len(fields) {
		t.Fatalf("%d fields, %v", len(got), err)
	}
	for i, f := range got {
		if f != fields[i] {
			t.Errorf("%v came back as %v", fields[i], f)
		}
	}
	for i, want := range map[uint64]hpack.HeaderField{
		IndexMethodPOST: {Name: ":method", Value: "POST"}, IndexPathRoot: {Name: ":path", Value: "/"},
		IndexSchemeHTTP: {Name: ":scheme", Value: "http"}, IndexSchemeHTTPS: {Name: ":scheme", Value: "https"},
		IndexStatus200: {Name: ":status", Value: "200"},
	} {
		got, err := hpack.NewDecoder(0, nil).DecodeFull(AppendIndexed(nil, i))
		if err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("index %d is %v, %v", i, got, err)
		}
	}
}

// TestEncoder: a second block is smaller, a table that shrinks is told, and a
// secret stays out of it.
func TestEncoder(t *testing.T) {
	var e Encoder
	d := hpack.NewDecoder(4096, nil)
	block := func() []byte {
		b := e.Append([]byte("kept"), "user-agent", "weir/1", false)
		b = e.Append(b, "authorization", "secret", true)
		if !bytes.HasPrefix(b, []byte("kept")) {
			t.Fatalf("%q", b)
		}
		b = b[4:]
		f, err := d.DecodeFull(b)
		if err != nil || len(f) != 2 || f[0].Value != "weir/1" || f[1].Value != "secret" || !f[1].Sensitive {
			t.Fatalf("%v %v", f, err)
		}
		return b
	}
	first, second := block(), block()
	if len(second) >= len(first) || !bytes.Contains(second, []byte{0x1f, 0x08}) {
		t.Errorf("%x, then %x", first, second)
	}
	e.SetTableSize(0)
	if third := block(); third[0] != 0x20 || len(third) <= len(first) {
		t.Errorf("with no table %x", third)
	}
	e.SetTableSize(1 << 20)
	if b := block(); b[0]>>5 != 1 {
		t.Errorf("with a larger table %x", b)
	}
}

func TestMessageLimits(t *testing.T) {
	for _, c := range []struct {
		name string
		p    []byte
		most int
		want error
	}{
		{"as long as allowed", AppendPrefix(nil, false, 100), 100, nil},
		{"longer", AppendPrefix(nil, false, 101), 100, ErrMessageSize},
		{"longest", []byte{0, 0xff, 0xff, 0xff, 0xff}, math.MaxInt, ErrMessageSize},
		{"a strange flag", []byte{2, 0, 0, 0, 0}, 100, ErrMessageFlag},
		{"not all of the prefix", []byte{2, 0, 0, 0}, 100, nil},
	} {
		if _, _, n, err := NextMessage(c.p, c.most); n != 0 || !errors.Is(err, c.want) {
			t.Errorf("%s: used %d, %v, want %v", c.name, n, err, c.want)
		}
		var a Assembler
		if _, done, err := a.Add(c.p, c.most); done || !errors.Is(err, c.want) {
			t.Errorf("%s, assembled: %v, %v, want %v", c.name, done, err, c.want)
		}
	}
}

// TestAssemblerGrows: storage follows the bytes that have come, not the length
// that was announced.
func TestAssemblerGrows(t *testing.T) {
	const size = 3 << 20
	var a Assembler
	a.Add(AppendPrefix(nil, true, size), size)
	if a.Held() != 0 || !a.Begun() {
		t.Fatalf("%d bytes held for a prefix, begun: %v", a.Held(), a.Begun())
	}
	want := make([]byte, size+1000)
	for i := range want {
		want[i] = byte(i * 7)
	}
	for have := 0; have < size; have += 1000 {
		used, done, err := a.Add(want[have:have+1000], size)
		if err != nil || done != (have+1000 >= size) || used != min(1000, size-have) {
			t.Fatalf("at %d: used %d, done %v, %v", have, used, done, err)
		}
		if most := max(2*(have+1000), 1024); a.Held() > most+buf.MaxStorage/64 {
			t.Fatalf("%d bytes held for %d", a.Held(), have+used)
		}
	}
	msg, compressed := a.Message()
	if !compressed || !bytes.Equal(msg, want[:size]) {
		t.Error("the message is not what was sent")
	}
	a.Reset()
	if a.Held() != 0 || a.Begun() {
		t.Error("something is left after Reset")
	}
}

// TestAssemblerCopiesLittle: a long message in small pieces is moved a few times,
// not once for each piece.
func TestAssemblerCopiesLittle(t *testing.T) {
	const size, piece = 4 << 20, 1000
	p := make([]byte, piece)
	n := testing.AllocsPerRun(2, func() {
		var a Assembler
		a.Add(AppendPrefix(nil, false, size), size)
		for range size / piece {
			a.Add(p, size)
		}
		a.Reset()
	})
	if n > 40 {
		t.Errorf("%v allocations", n)
	}
}

// TestNextMessageCut: a message that is cut off anywhere is not cut out.
func TestNextMessageCut(t *testing.T) {
	p := append(AppendPrefix(nil, false, 20), make([]byte, 20)...)
	for n := range p {
		if _, _, used, err := NextMessage(p[:n], 100); used != 0 || err != nil {
			t.Errorf("%d bytes of it: used %d, %v", n, used, err)
		}
	}
}

// TestIDsUsedUp, section 5.1.1: a client does not begin anew.
func TestIDsUsedUp(t *testing.T) {
	var m mute
	m.core.Start(NewLimits(Config{Client: true}), &m)
	m.core.nextID = maxID
	var last, more flow
	if err := m.core.Open(&last.Stream, nil, false); err != nil || last.ID() != MaxID {
		t.Errorf("stream %d, %v", last.ID(), err)
	}
	if err := m.core.Open(&more.Stream, nil, false); !errors.Is(err, ErrIDs) || more.State() != Idle {
		t.Errorf("%v, the stream is %v", err, more.State())
	}
}

// TestReplies: answers are counted byte for byte, what we send of our own is
// not.
func TestReplies(t *testing.T) {
	var m mute
	m.core.Start(NewLimits(Config{}), &m)
	m.core.Feed(1, AppendSettingsAck(AppendSettings([]byte(Preface))))
	m.core.Out = nil
	m.core.ResetReplies()
	p := AppendPing(AppendSettings(nil), false, [8]byte{})
	p = AppendHeaders(p, 1, nil, false, 100) // malformed
	if m.core.Feed(1, p); m.core.Replies() != len(m.core.Out) || len(m.core.Out) != 9+17+13 {
		t.Errorf("%d bytes of replies counted, %d put out", m.core.Replies(), len(m.core.Out))
	}
	m.core.Ping([8]byte{})
	if m.core.Replies() != 9+17+13 {
		t.Errorf("%d after a PING of ours", m.core.Replies())
	}
	if m.core.ResetReplies(); m.core.Replies() != 0 {
		t.Error("ResetReplies does not")
	}
}

// TestAssemblerTake: what is taken stays when the next message comes.
func TestAssemblerTake(t *testing.T) {
	var a Assembler
	p := append(AppendPrefix(nil, false, 3), "one"...)
	a.Add(p, 10)
	one := a.Take()
	a.Add(append(AppendPrefix(nil, false, 3), "two"...), 10)
	if two, _ := a.Message(); string(one) != "one" || string(two) != "two" {
		t.Errorf("%q and %q", one, two)
	}
	FreeMessage(one)
	a.Reset()
	FreeMessage(nil)
}

// Of a block that comes in pieces nothing is left when it is decoded: the
// decoder would keep what it has of a field, and the storage for good.
func TestPiecesLeaveNothing(t *testing.T) {
	m := newMute(t, 1)
	var e Encoder
	block := e.Append(grpcRequest(&e), "long", strings.Repeat("long", 10_000), false)
	if _, err := m.core.Feed(1, AppendHeaders(nil, 3, block, true, 4000)); err != nil {
		t.Fatal(err)
	}
	if m.st == nil || m.st.ID() != 3 {
		t.Fatal("it was not understood")
	}
	kept := reflect.ValueOf(m.core.dec).Elem().FieldByName("saveBuf").FieldByName("buf")
	if kept.Cap() > 0 {
		t.Errorf("the decoder keeps %d bytes", kept.Cap())
	}
	if m.core.block != nil {
		t.Error("the block is kept")
	}
}
