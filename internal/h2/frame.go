package h2

import "encoding/binary"

// Type is a frame's type, RFC 9113, section 6.
type Type uint8

const (
	FrameData         Type = 0x0
	FrameHeaders      Type = 0x1
	FramePriority     Type = 0x2
	FrameRSTStream    Type = 0x3
	FrameSettings     Type = 0x4
	FramePushPromise  Type = 0x5
	FramePing         Type = 0x6
	FrameGoAway       Type = 0x7
	FrameWindowUpdate Type = 0x8
	FrameContinuation Type = 0x9
)

// Flags are a frame's flags; what a bit means depends on the type.
type Flags uint8

const (
	FlagEndStream  Flags = 0x1 // DATA, HEADERS
	FlagAck        Flags = 0x1 // SETTINGS, PING
	FlagEndHeaders Flags = 0x4 // HEADERS, CONTINUATION
	FlagPadded     Flags = 0x8 // DATA, HEADERS
	FlagPriority   Flags = 0x20
)

// Has reports whether all bits of g are set.
func (f Flags) Has(g Flags) bool { return f&g == g }

const (
	HeaderLen     = 9         // bytes of a frame's header
	InitialWindow = 65535     // of streams and connections, before anybody says otherwise
	MaxWindow     = 1<<31 - 1 // the most a window may be
	MinMaxFrame   = 16384     // the least that SETTINGS_MAX_FRAME_SIZE may be, and what it is at first
	MaxMaxFrame   = 1<<24 - 1 // and the most
	maxID         = 1<<31 - 1 // of streams
	idMask        = 1<<31 - 1 // without the reserved bit
	rstLen        = 4         // payload of RST_STREAM and WINDOW_UPDATE
	pingLen       = 8         // payload of PING
	settingLen    = 6         // of one setting
	priorityLen   = 5         // payload of PRIORITY, and what FlagPriority adds
	goAwayLen     = 8         // payload of GOAWAY without its debug data
)

// Preface is what a client sends first, RFC 9113, section 3.4.
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Header is the header of a frame, RFC 9113, section 4.1:
//
//	+-----------------------------------------------+
//	|                 Length (24)                   |
//	+---------------+---------------+---------------+
//	|   Type (8)    |   Flags (8)   |
//	+-+-------------+---------------+-------------------------------+
//	|R|                 Stream Identifier (31)                      |
//	+-+-------------------------------------------------------------+
type Header struct {
	Length uint32 // of the payload, in bytes
	Stream uint32 // 0: the connection
	Type   Type
	Flags  Flags
}

// ParseHeader reads a frame's header from the first HeaderLen bytes of p, which
// must be there. The reserved bit is ignored.
func ParseHeader(p []byte) Header {
	_ = p[HeaderLen-1]
	return Header{
		Length: uint32(p[0])<<16 | uint32(p[1])<<8 | uint32(p[2]),
		Type:   Type(p[3]),
		Flags:  Flags(p[4]),
		Stream: binary.BigEndian.Uint32(p[5:]) & idMask,
	}
}

// AppendHeader appends a frame's header.
func AppendHeader(dst []byte, h Header) []byte {
	n, id := h.Length, h.Stream
	return append(dst, byte(n>>16), byte(n>>8), byte(n), byte(h.Type), byte(h.Flags),
		byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
}

// AppendDataHeader appends the header of a DATA frame whose n bytes follow by
// other means.
func AppendDataHeader(dst []byte, id uint32, n int, end bool) []byte {
	return append(dst, byte(n>>16), byte(n>>8), byte(n), byte(FrameData), byte(endFlag(end)),
		byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
}

// AppendData appends a DATA frame. p is at most as long as the peer's
// SETTINGS_MAX_FRAME_SIZE.
func AppendData(dst []byte, id uint32, p []byte, end bool) []byte {
	return append(AppendDataHeader(dst, id, len(p), end), p...)
}

// AppendHeaders appends a header block as HEADERS and as many CONTINUATION
// frames as it needs, of at most maxFrame bytes each.
func AppendHeaders(dst []byte, id uint32, block []byte, end bool, maxFrame int) []byte {
	h := Header{Type: FrameHeaders, Flags: endFlag(end), Stream: id}
	for {
		part := block[:min(len(block), maxFrame)]
		if block = block[len(part):]; len(block) == 0 {
			h.Flags |= FlagEndHeaders
		}
		h.Length = uint32(len(part))
		dst = append(AppendHeader(dst, h), part...)
		if len(block) == 0 {
			return dst
		}
		h.Type, h.Flags = FrameContinuation, 0
	}
}

// AppendRSTStream appends a RST_STREAM frame.
func AppendRSTStream(dst []byte, id uint32, c Code) []byte {
	dst = AppendHeader(dst, Header{Length: rstLen, Type: FrameRSTStream, Stream: id})
	return binary.BigEndian.AppendUint32(dst, uint32(c))
}

// AppendWindowUpdate appends a WINDOW_UPDATE frame; id 0 is the connection. n is
// from 1 to MaxWindow.
func AppendWindowUpdate(dst []byte, id uint32, n uint32) []byte {
	dst = AppendHeader(dst, Header{Length: rstLen, Type: FrameWindowUpdate, Stream: id})
	return binary.BigEndian.AppendUint32(dst, n)
}

// AppendPing appends a PING frame.
func AppendPing(dst []byte, ack bool, data [8]byte) []byte {
	h := Header{Length: pingLen, Type: FramePing}
	if ack {
		h.Flags = FlagAck
	}
	return append(AppendHeader(dst, h), data[:]...)
}

// AppendGoAway appends a GOAWAY frame. Debug data is cut to what every peer
// accepts in one frame.
func AppendGoAway(dst []byte, last uint32, c Code, debug string) []byte {
	debug = debug[:min(len(debug), MinMaxFrame-goAwayLen)]
	dst = AppendHeader(dst, Header{Length: uint32(goAwayLen + len(debug)), Type: FrameGoAway})
	dst = binary.BigEndian.AppendUint32(dst, last)
	dst = binary.BigEndian.AppendUint32(dst, uint32(c))
	return append(dst, debug...)
}

// AppendSettings appends a SETTINGS frame.
func AppendSettings(dst []byte, settings ...Setting) []byte {
	dst = AppendHeader(dst, Header{Length: uint32(settingLen * len(settings)), Type: FrameSettings})
	for _, s := range settings {
		dst = binary.BigEndian.AppendUint16(dst, uint16(s.ID))
		dst = binary.BigEndian.AppendUint32(dst, s.Value)
	}
	return dst
}

// AppendSettingsAck appends the acknowledgment of a SETTINGS frame.
func AppendSettingsAck(dst []byte) []byte {
	return AppendHeader(dst, Header{Type: FrameSettings, Flags: FlagAck})
}

func endFlag(end bool) Flags {
	if end {
		return FlagEndStream
	}
	return 0
}
