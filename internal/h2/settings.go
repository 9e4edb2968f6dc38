package h2

import (
	"encoding/binary"
	"math"
)

// SettingID names a setting, RFC 9113, section 6.5.2.
type SettingID uint16

const (
	SettingHeaderTableSize      SettingID = 0x1
	SettingEnablePush           SettingID = 0x2
	SettingMaxConcurrentStreams SettingID = 0x3
	SettingInitialWindowSize    SettingID = 0x4
	SettingMaxFrameSize         SettingID = 0x5
	SettingMaxHeaderListSize    SettingID = 0x6
)

// Setting is one entry of a SETTINGS frame.
type Setting struct {
	ID    SettingID
	Value uint32
}

// PeerSettings are what the other end has said about itself.
type PeerSettings struct {
	HeaderTable   uint32 // bytes our encoder may use
	MaxStreams    uint32 // that we may have open at once
	InitialWindow uint32 // of each of our streams
	MaxFrame      uint32 // bytes of a frame's payload
	MaxHeaderList uint32 // bytes as section 6.5.2 counts them; advice only
}

// before is what holds until a peer says otherwise.
var before = PeerSettings{
	HeaderTable: 4096, MaxStreams: math.MaxUint32, InitialWindow: InitialWindow,
	MaxFrame: MinMaxFrame, MaxHeaderList: math.MaxUint32,
}

// read takes over the settings in p, the payload of a SETTINGS frame, in their
// order. Unknown ones are ignored. fromServer says whose they are.
func (s *PeerSettings) read(p []byte, fromServer bool) *Error {
	for ; len(p) >= settingLen; p = p[settingLen:] {
		v := binary.BigEndian.Uint32(p[2:])
		switch SettingID(binary.BigEndian.Uint16(p)) {
		case SettingHeaderTableSize:
			s.HeaderTable = v
		case SettingEnablePush:
			if v > 1 || v == 1 && fromServer {
				return &Error{Code: ProtocolError, Section: "6.5.2", Reason: "ENABLE_PUSH is out of range"}
			}
		case SettingMaxConcurrentStreams:
			s.MaxStreams = v
		case SettingInitialWindowSize:
			if v > MaxWindow {
				return &Error{Code: FlowControlError, Section: "6.5.2", Reason: "INITIAL_WINDOW_SIZE is out of range"}
			}
			s.InitialWindow = v
		case SettingMaxFrameSize:
			if v < MinMaxFrame || v > MaxMaxFrame {
				return &Error{Code: ProtocolError, Section: "6.5.2", Reason: "MAX_FRAME_SIZE is out of range"}
			}
			s.MaxFrame = v
		case SettingMaxHeaderListSize:
			s.MaxHeaderList = v
		}
	}
	return nil
}
