package stream

import (
	"math"
	"sync"

	"github.com/weir-go/weir/internal/buf"
	"github.com/weir-go/weir/internal/h2"
)

// Buffer is the bytes of one message in pooled storage. It has one owner at a
// time: SendBuffer and SendWait take it over, also when they fail.
type Buffer struct {
	b    []byte // head bytes of room or prefix, then the message
	head int
	at   int // sent of b
	next *Buffer

	msg        *Message // in place of b: shared
	compressed bool
	plain      bool // b goes out as it is: not a gRPC message
	packed     bool // inbound: any number of messages with their prefixes
	taken      bool // inbound: the one message has been received
}

// buffers have no storage. Most messages are small: smalls have storage of smallSize,
// and keep it, so that the two come from one pool and go to it together. Those that
// grow become buffers.
var (
	buffers = sync.Pool{New: func() any { return new(Buffer) }}
	smalls  = sync.Pool{New: func() any {
		b := buffers.Get().(*Buffer)
		b.b = storage(smallSize)
		return b
	}}
)

// smallSize is what storage of any smaller message has as well.
const smallSize = buf.MinStorage

// stored returns a Buffer with n bytes of storage, whose contents are undefined.
func stored(n int) *Buffer {
	if n <= smallSize {
		b := smalls.Get().(*Buffer)
		b.b = b.b[:n]
		return b
	}
	b := buffers.Get().(*Buffer)
	b.b = storage(n)
	return b
}

// NewBuffer returns a Buffer of n bytes, whose contents are undefined.
func NewBuffer(n int) *Buffer {
	b := stored(h2.PrefixLen + n)
	b.head = h2.PrefixLen
	return b
}

// Bytes returns the message: valid until Append, Release or sending.
func (b *Buffer) Bytes() []byte { return b.b[b.head:] }

// Append appends p.
func (b *Buffer) Append(p []byte) {
	if n := len(b.b) + len(p); n > cap(b.b) {
		grown := storage(max(n, 2*cap(b.b)))
		grown = grown[:copy(grown, b.b)]
		h2.FreeMessage(b.b)
		b.b = grown
	}
	b.b = append(b.b, p...)
}

// Write is Append as an io.Writer; it never fails.
func (b *Buffer) Write(p []byte) (int, error) {
	b.Append(p)
	return len(p), nil
}

// Release gives the storage back. The Buffer must not be used any more.
func (b *Buffer) Release() {
	if b.msg != nil {
		b.msg.Release()
	}
	if cap(b.b) == smallSize {
		*b = Buffer{b: b.b}
		smalls.Put(b)
		return
	}
	h2.FreeMessage(b.b)
	*b = Buffer{}
	buffers.Put(b)
}

// storage returns n bytes, from the pool unless they are many.
func storage(n int) []byte {
	if n > buf.MaxStorage {
		return make([]byte, n)
	}
	return buf.Get(n)[:n]
}

// assembled is a Buffer of bytes taken from an h2.Assembler.
func assembled(p []byte, compressed bool) *Buffer {
	from := &buffers
	if cap(p) == smallSize {
		from = &smalls // where it goes
	}
	b := from.Get().(*Buffer)
	h2.FreeMessage(b.b)
	b.b, b.compressed = p, compressed
	return b
}

// copied is a Buffer with a copy of m.
func copied(m []byte, compressed bool) *Buffer {
	b := NewBuffer(len(m))
	b.compressed = compressed
	copy(b.Bytes(), m)
	return b
}

// nextMessage takes the next message out of an inbound buffer.
func (b *Buffer) nextMessage() (m []byte, compressed, ok bool) {
	if !b.packed {
		if b.taken {
			return nil, false, false
		}
		b.at, b.taken = len(b.b), true
		return b.b, b.compressed, true
	}
	m, compressed, used, err := h2.NextMessage(b.b[b.at:], math.MaxInt32)
	b.at += used
	return m, compressed, used > 0 && err == nil
}

// seal writes the prefix: from here on b goes out.
func (b *Buffer) seal() {
	if !b.plain && b.msg == nil {
		h2.AppendPrefix(b.b[:0], b.compressed, len(b.b)-b.head)
	}
}

// size is what it counts in a send queue.
func (b *Buffer) size() int {
	if b.msg != nil {
		return h2.PrefixLen + b.msg.Len()
	}
	return len(b.b)
}

// unsent is how many bytes are still to go out.
func (b *Buffer) unsent() int { return b.size() - b.at }

// take appends the next n unsent bytes to dst.
func (b *Buffer) take(dst []byte, n int) []byte {
	from := b.at
	b.at += n
	if b.msg == nil {
		return append(dst, b.b[from:b.at]...)
	}
	if from < h2.PrefixLen {
		var prefix [h2.PrefixLen]byte
		h2.AppendPrefix(prefix[:0], false, b.msg.Len())
		k := min(n, h2.PrefixLen-from)
		dst = append(dst, prefix[from:from+k]...)
		from, n = from+k, n-k
	}
	if n > 0 {
		from -= h2.PrefixLen
		dst = append(dst, b.msg.Bytes()[from:from+n]...)
	}
	return dst
}
