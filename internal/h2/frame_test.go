package h2

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestFrameBytes holds every frame we write against its bytes, written out by
// hand from RFC 9113, section 6.
func TestFrameBytes(t *testing.T) {
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"6.1 DATA", AppendData(nil, 1, []byte("hi"), false), "000002 00 00 00000001 6869"},
		{"6.1 DATA end", AppendData(nil, 0x7fffffff, nil, true), "000000 00 01 7fffffff"},
		{"6.1 DATA header", AppendDataHeader(nil, 3, 0x012345, true), "012345 00 01 00000003"},
		{"6.2 HEADERS", AppendHeaders(nil, 1, []byte{0x88}, true, 100), "000001 01 05 00000001 88"},
		{"6.2 HEADERS of nothing", AppendHeaders(nil, 1, nil, false, 100), "000000 01 04 00000001"},
		{"6.10 CONTINUATION", AppendHeaders(nil, 5, []byte{1, 2, 3, 4, 5}, true, 2),
			"000002 01 01 00000005 0102  000002 09 00 00000005 0304  000001 09 04 00000005 05"},
		{"6.10 a block that just fits", AppendHeaders(nil, 5, []byte{1, 2, 3, 4}, false, 2),
			"000002 01 00 00000005 0102  000002 09 04 00000005 0304"},
		{"6.4 RST_STREAM", AppendRSTStream(nil, 9, EnhanceYourCalm), "000004 03 00 00000009 0000000b"},
		{"6.5 SETTINGS", AppendSettings(nil, Setting{SettingInitialWindowSize, 65536}, Setting{SettingEnablePush, 0}),
			"00000c 04 00 00000000 0004 00010000  0002 00000000"},
		{"6.5 SETTINGS ack", AppendSettingsAck(nil), "000000 04 01 00000000"},
		{"6.7 PING", AppendPing(nil, false, [8]byte{1, 2, 3, 4, 5, 6, 7, 8}), "000008 06 00 00000000 0102030405060708"},
		{"6.7 PING ack", AppendPing(nil, true, [8]byte{}), "000008 06 01 00000000 0000000000000000"},
		{"6.8 GOAWAY", AppendGoAway(nil, 7, ProtocolError, "why"), "00000b 07 00 00000000 00000007 00000001 776879"},
		{"6.9 WINDOW_UPDATE", AppendWindowUpdate(nil, 1, MaxWindow), "000004 08 00 00000001 7fffffff"},
		{"gRPC prefix", AppendPrefix(nil, true, 0x01020304), "01 01020304"},
		{"HPACK indexed", AppendIndexed(nil, IndexStatus200), "88"},
		{"HPACK literal of a static name", AppendField(nil, "content-type", "a"), "0f10 01 61"},
		{"HPACK literal", AppendField(nil, "x", "yz"), "00 01 78 02 797a"},
		{"HPACK never indexed", AppendNeverIndexed(nil, "authorization", "s"), "1f08 01 73"},
	} {
		if want := strings.ReplaceAll(c.want, " ", ""); hex.EncodeToString(c.got) != want {
			t.Errorf("%s:\n%x, want\n%s", c.name, c.got, want)
		}
	}
}

// TestAppendKeeps shows that appending leaves alone what is there.
func TestAppendKeeps(t *testing.T) {
	dst := append(make([]byte, 0, 100), "before"...)
	got := AppendPing(AppendHeaders(dst, 1, []byte("block"), true, 2), false, [8]byte{})
	if !bytes.HasPrefix(got, []byte("before")) || &got[0] != &dst[0] {
		t.Errorf("%q", got)
	}
}

func TestParseHeader(t *testing.T) {
	for _, h := range []Header{
		{}, {Length: 1<<24 - 1, Type: 255, Flags: 255, Stream: 1<<31 - 1}, {Length: 5, Type: FrameHeaders, Flags: FlagPadded, Stream: 77},
	} {
		p := AppendHeader(nil, h)
		if got := ParseHeader(p); got != h {
			t.Errorf("%+v came back as %+v", h, got)
		}
		p[5] |= 0x80 // reserved: ignored
		if got := ParseHeader(p); got != h {
			t.Errorf("with the reserved bit %+v came back as %+v", h, got)
		}
	}
}

// TestGoAwayIsCut: debug data never makes a frame that a peer must refuse.
func TestGoAwayIsCut(t *testing.T) {
	p := AppendGoAway(nil, 1, NoError, strings.Repeat("x", 1<<20))
	if n := ParseHeader(p).Length; n != MinMaxFrame || len(p) != HeaderLen+MinMaxFrame {
		t.Errorf("%d bytes, length %d", len(p), n)
	}
}

func TestError(t *testing.T) {
	err := error(&Error{Code: FlowControlError, Stream: 3, Section: "6.9.1", Reason: "too much"})
	if want := "h2: FLOW_CONTROL_ERROR on stream 3: too much (RFC 9113, 6.9.1)"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	wrapped := fmt.Errorf("session: %w", err)
	for _, c := range []struct {
		target error
		want   bool
	}{
		{&Error{Code: FlowControlError, Stream: 1}, true}, // any stream
		{&Error{Code: FlowControlError, Stream: 1, Reason: "too much"}, true},
		{&Error{Code: FlowControlError, Stream: 1, Reason: "other"}, false},
		{&Error{Code: FlowControlError}, false}, // the connection
		{&Error{Code: ProtocolError, Stream: 3}, false},
		{errors.New("other"), false},
	} {
		if got := errors.Is(wrapped, c.target); got != c.want {
			t.Errorf("Is(%v) = %v", c.target, got)
		}
	}
	for c, want := range map[Code]string{NoError: "NO_ERROR", HTTP11Required: "HTTP_1_1_REQUIRED", 0x1234: "0x1234"} {
		if got := c.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for s, want := range map[State]string{Idle: "idle", HalfClosedLocal: "half-closed (local)", Closed: "closed"} {
		if got := s.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
