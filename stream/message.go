package stream

import (
	"sync/atomic"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/h2"
)

// Message is a message encoded once for any number of streams: the gRPC prefix
// and the payload, which never change. Short ones are copied behind each
// stream's frame header, which costs less than a reference; of longer ones all
// streams send the same bytes.
//
//	+--------+---------------------------------+
//	| prefix | payload                         |   p
//	+--------+---------------------------------+
//	└── piece 0, 16 KiB ──┴── piece 1 ... ─────┘   when longer than shareMin
//
// It is counted, so that what waits in queues is charged to the byte budget once
// and given back when the last one lets go: NewMessage's caller has the first
// reference. All methods may be called from any goroutine.
type Message struct {
	p      []byte
	pieces []*conn.Shared
	refs   atomic.Int32
}

const (
	// shareMin is the length, with the prefix, above which a message is queued
	// by reference. Below it the copy is cheaper than the bookkeeping.
	shareMin = 1 << 10

	// pieceLen is the payload of a frame that every peer accepts (RFC 9113
	// 6.5.2, SETTINGS_MAX_FRAME_SIZE): frames may be cut at its multiples
	// whatever the peer has said.
	pieceLen = 1 << 14
)

// NewMessage encodes a copy of payload p, which gRPC limits to 4 GiB - 1. The
// caller has one reference, to be given back with Release.
func NewMessage(p []byte) *Message {
	m := &Message{p: h2.AppendPrefix(make([]byte, 0, h2.PrefixLen+len(p)), false, len(p))}
	m.p = append(m.p, p...)
	m.refs.Store(1)
	if len(m.p) > shareMin {
		m.cut()
	}
	return m
}

// cut makes the pieces of a long message.
func (m *Message) cut() {
	m.pieces = make([]*conn.Shared, 0, (len(m.p)+pieceLen-1)/pieceLen)
	for rest := m.p; len(rest) > 0; {
		n := min(len(rest), pieceLen)
		m.pieces = append(m.pieces, conn.NewShared(rest[:n:n], nil))
		rest = rest[n:]
	}
}

// Bytes returns the payload, to be read only.
func (m *Message) Bytes() []byte { return m.p[h2.PrefixLen:] }

// Len returns the length of the payload.
func (m *Message) Len() int { return len(m.p) - h2.PrefixLen }

// Retain adds a reference. The caller must hold one.
func (m *Message) Retain() { m.refs.Add(1) }

// Release gives one reference back. A reference too many given back panics:
// somebody would send bytes that are no longer accounted for.
func (m *Message) Release() {
	switch n := m.refs.Add(-1); {
	case n > 0:
		return
	case n < 0:
		panic("stream: Message released too often")
	}
	for _, s := range m.pieces {
		s.Release()
	}
}

// framed returns what goes into DATA frames: prefix and payload.
func (m *Message) framed() []byte { return m.p }

// piece returns the part of framed that begins at off, for sending without a
// copy. nil: the message is short, or no piece begins there.
func (m *Message) piece(off int) *conn.Shared {
	if off%pieceLen != 0 || off/pieceLen >= len(m.pieces) {
		return nil
	}
	return m.pieces[off/pieceLen]
}
