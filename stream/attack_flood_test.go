package stream

import (
	"bytes"
	"testing"
	"time"

	"github.com/weir-go/weir/internal/h2"
)

// raw is a frame of any kind.
func raw(t h2.Type, flags h2.Flags, id uint32, p []byte) []byte {
	h := h2.Header{Length: uint32(len(p)), Type: t, Flags: flags, Stream: id}
	return append(h2.AppendHeader(nil, h), p...)
}

// parks registers a method that holds its stream until the stream ends.
func parks(s *Server) {
	s.Handle("/p.P/Park", Method{Go: func(st *Stream) error { <-st.Context().Done(); return nil }})
}

// Floods of frames that cost the server more than the client. Each ends the
// session with the code that is named, after frames that are counted, and an
// innocent client on the same loop is served all the time.
func TestAttackFloods(t *testing.T) {
	const n = 200_000 // more than any bucket has
	cfg := Config{MaxStreams: 100, Enforce: Enforcement{MinTime: -1}}
	for _, c := range []struct {
		name string
		code h2.Code
		f    func(h *hostile) func(i int) []byte
	}{
		{"rapid reset (CVE-2023-44487)", h2.EnhanceYourCalm, func(h *hostile) func(int) []byte {
			return func(int) []byte { return h2.AppendRSTStream(nil, h.open("/p.P/Park", false), h2.Cancel) }
		}},
		{"made to reset (CVE-2025-8671): WINDOW_UPDATE by nothing", h2.EnhanceYourCalm, func(h *hostile) func(int) []byte {
			return func(int) []byte { return h2.AppendWindowUpdate(nil, h.open("/p.P/Park", false), 0) }
		}},
		{"made to reset: a window too large", h2.EnhanceYourCalm, func(h *hostile) func(int) []byte {
			return func(int) []byte { return h2.AppendWindowUpdate(nil, h.open("/p.P/Park", false), h2.MaxWindow) }
		}},
		{"made to reset: DATA after the end", h2.EnhanceYourCalm, func(h *hostile) func(int) []byte {
			return func(int) []byte { return h2.AppendData(nil, h.open("/p.P/Park", true), []byte{0}, false) }
		}},
		{"made to reset: PRIORITY of a wrong size", h2.EnhanceYourCalm, func(h *hostile) func(int) []byte {
			return func(int) []byte { return raw(h2.FramePriority, 0, h.open("/p.P/Park", false), []byte{0}) }
		}},
		{"made to reset: more DATA than declared", h2.EnhanceYourCalm, func(h *hostile) func(int) []byte {
			return func(int) []byte {
				return h2.AppendData(nil, h.open("/p.P/Park", false, "content-length", "1"), []byte{0, 0}, false)
			}
		}},
		{"streams above the limit", h2.EnhanceYourCalm, func(h *hostile) func(int) []byte {
			return func(int) []byte { h.open("/p.P/Park", false); return nil }
		}},
		{"HEADERS without fields", h2.EnhanceYourCalm, func(h *hostile) func(int) []byte {
			return func(i int) []byte { return h2.AppendHeaders(nil, uint32(2*i+1), nil, true, h2.MinMaxFrame) }
		}},
		{"CONTINUATION", h2.EnhanceYourCalm, func(h *hostile) func(int) []byte {
			h.send(raw(h2.FrameHeaders, 0, 1, header("/e.E/Unary")))
			field := h2.AppendField(nil, "a", "b")
			return func(int) []byte { return raw(h2.FrameContinuation, 0, 1, field) }
		}},
		{"CONTINUATION, empty", h2.EnhanceYourCalm, func(h *hostile) func(int) []byte {
			h.send(raw(h2.FrameHeaders, 0, 1, header("/e.E/Unary")))
			return func(int) []byte { return raw(h2.FrameContinuation, 0, 1, nil) }
		}},
		{"SETTINGS", h2.EnhanceYourCalm, func(h *hostile) func(int) []byte {
			return func(int) []byte { return h2.AppendSettings(nil) }
		}},
		{"SETTINGS that move all windows", h2.EnhanceYourCalm, func(h *hostile) func(int) []byte {
			for range 100 {
				h.open("/p.P/Park", false)
			}
			return func(i int) []byte {
				return h2.AppendSettings(nil, h2.Setting{ID: h2.SettingInitialWindowSize, Value: uint32(i % 2 * h2.MaxWindow)})
			}
		}},
		{"PING", h2.EnhanceYourCalm, func(h *hostile) func(int) []byte {
			return func(int) []byte { return h2.AppendPing(nil, false, [8]byte{}) }
		}},
		{"answers to PINGs that nobody sent", h2.EnhanceYourCalm, func(h *hostile) func(int) []byte {
			return func(int) []byte { return h2.AppendPing(nil, true, alivePing) }
		}},
		{"DATA, empty", h2.EnhanceYourCalm, func(h *hostile) func(int) []byte {
			id := h.open("/p.P/Park", false)
			return func(int) []byte { return h2.AppendData(nil, id, nil, false) }
		}},
		{"DATA, all padding", h2.EnhanceYourCalm, func(h *hostile) func(int) []byte {
			id := h.open("/p.P/Park", false)
			return func(int) []byte { return raw(h2.FrameData, h2.FlagPadded, id, []byte{0}) }
		}},
		{"PRIORITY", h2.EnhanceYourCalm, func(h *hostile) func(int) []byte {
			return func(i int) []byte { return raw(h2.FramePriority, 0, uint32(2*i+1), []byte{0, 0, 0, 0, 1}) }
		}},
		{"unknown frames", h2.EnhanceYourCalm, func(h *hostile) func(int) []byte {
			return func(i int) []byte { return raw(h2.Type(10+i%200), 0xff, uint32(i), []byte("what")) }
		}},
		{"WINDOW_UPDATE by 1", h2.EnhanceYourCalm, func(h *hostile) func(int) []byte {
			id := h.open("/p.P/Park", false)
			return func(int) []byte { return h2.AppendWindowUpdate(nil, id, 1) }
		}},
		{"WINDOW_UPDATE to the brim", h2.FlowControlError, func(h *hostile) func(int) []byte {
			return func(int) []byte { return h2.AppendWindowUpdate(nil, 0, 1<<30) }
		}},
		{"WINDOW_UPDATE on streams that are gone", h2.EnhanceYourCalm, func(h *hostile) func(int) []byte {
			h.open("/none/None", true)
			return func(int) []byte { return h2.AppendWindowUpdate(nil, 1, 1000) }
		}},
		{"GOAWAY", h2.EnhanceYourCalm, func(h *hostile) func(int) []byte {
			return func(int) []byte { return h2.AppendGoAway(nil, 0, h2.NoError, "again") }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := besiege(t, cfg, parks)
			sent := 0
			s.under(func() {
				h := s.dial()
				sent = h.flood(n, c.f(h))
				h.endsWith(c.code)
			})
			x := s.srv.Stats()
			begun := x.Opened - uint64(s.calls.Load())
			if begun > 400 || x.SessionErrors != 1 {
				t.Errorf("%d streams begun, %d sessions ended for an error", begun, x.SessionErrors)
			}
			t.Logf("sent %d times until GOAWAY was read; %d streams begun, %d reset", sent, begun, x.Resets)
		})
	}
}

// PINGs on a connection without streams, faster than keepalive allows.
func TestAttackPingAbuse(t *testing.T) {
	s := besiege(t, Config{}, nil)
	s.under(func() {
		h := s.dial()
		for range 4 {
			h.send(h2.AppendPing(nil, false, [8]byte{1}))
		}
		h.endsWith(h2.EnhanceYourCalm)
	})
	if n := s.srv.Stats().PingAbuse; n != 1 {
		t.Errorf("counted %d times", n)
	}
}

// Single frames, and beginnings, that are larger than they may be or never end.
func TestAttackFrames(t *testing.T) {
	cfg := Config{HeaderTimeout: 300 * time.Millisecond}
	bomb := func() []byte { // an entry of the table, then again and again
		b := append(header("/e.E/Unary"), 0x40, 1, 'k', 0x7f, 0xb1, 0x1e)
		b = append(b, bytes.Repeat([]byte{'v'}, 4016)...)
		return append(b, bytes.Repeat([]byte{0xbe}, 12000)...)
	}()
	for _, c := range []struct {
		name  string
		code  h2.Code
		greet bool
		f     func(h *hostile)
	}{
		{"a giant DATA frame", h2.FrameSizeError, true, func(h *hostile) {
			h.send(h2.AppendDataHeader(nil, h.open("/p.P/Park", false), h2.MaxMaxFrame, false))
		}},
		{"a giant HEADERS frame", h2.FrameSizeError, true, func(h *hostile) {
			h.send(h2.AppendHeader(nil, h2.Header{Length: h2.MaxMaxFrame, Type: h2.FrameHeaders, Stream: 1}))
		}},
		{"a giant unknown frame", h2.FrameSizeError, true, func(h *hostile) {
			h.send(h2.AppendHeader(nil, h2.Header{Length: h2.MaxMaxFrame, Type: 99, Stream: 1}))
		}},
		{"HPACK: a table larger than allowed", h2.CompressionError, true, func(h *hostile) {
			h.send(h2.AppendHeaders(nil, 1, []byte{0x3f, 0xe1, 0xff, 0x03}, true, h2.MinMaxFrame))
		}},
		{"HPACK: a block of 96 KiB", h2.EnhanceYourCalm, true, func(h *hostile) {
			h.send(h2.AppendHeaders(nil, 1, bytes.Repeat([]byte{0x82}, 96<<10), true, h2.MinMaxFrame))
		}},
		{"HPACK: a string of 1 GiB", h2.CompressionError, true, func(h *hostile) {
			h.send(raw(h2.FrameHeaders, h2.FlagEndHeaders, 1, []byte{0, 0x7f, 0x81, 0xff, 0xff, 0xff, 0x03}))
		}},
		{"nothing but the preface", h2.SettingsTimeout, false, func(h *hostile) { h.send([]byte(h2.Preface)) }},
		{"nothing at all", h2.SettingsTimeout, false, func(h *hostile) {}},
		{"HTTP/1.1", h2.ProtocolError, false, func(h *hostile) { h.send([]byte("GET / HTTP/1.1\r\nHost: weir.test\r\n\r\n")) }},
		{"a header block without end", h2.EnhanceYourCalm, true, func(h *hostile) {
			h.send(raw(h2.FrameHeaders, 0, 1, header("/e.E/Unary")))
		}},
		{"half a HEADERS frame", h2.EnhanceYourCalm, true, func(h *hostile) {
			h.send(h2.AppendHeaders(nil, 1, header("/e.E/Unary"), true, h2.MinMaxFrame)[:30])
		}},
		{"half a frame's header", h2.EnhanceYourCalm, true, func(h *hostile) { h.send([]byte{0, 0, 8}) }},
		{"HPACK bomb: 4 KiB for each byte", h2.NoError, true, func(h *hostile) {
			for range 200 {
				id := h.next
				h.next += 2
				h.send(h2.AppendHeaders(nil, id, bomb, true, h2.MinMaxFrame))
				if status := h.endOf(id); status != "8" {
					h.s.t.Errorf("status %s", status)
				}
				h.s.peak()
			}
			h.lives()
			h.nc.Close()
		}},
		{"2,700 unknown settings", h2.NoError, true, func(h *hostile) {
			var all []h2.Setting
			for i := range 2700 {
				all = append(all, h2.Setting{ID: h2.SettingID(100 + i), Value: uint32(i)})
			}
			h.send(h2.AppendSettings(nil, all...))
			h.lives()
			h.nc.Close()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := besiege(t, cfg, parks)
			s.under(func() {
				h := s.mute()
				if c.greet {
					h.greet()
				}
				go h.read()
				c.f(h)
				if c.code != h2.NoError {
					h.endsWith(c.code)
				}
			})
		})
	}
}
