package stream

import (
	"bytes"
	"testing"

	"github.com/weir-go/weir/internal/h2"
)

// A message is its prefix and its payload, whatever its length, and its pieces
// put together are the same bytes.
func TestMessageFramed(t *testing.T) {
	for _, n := range []int{0, 1, 64, shareMin - h2.PrefixLen, shareMin - h2.PrefixLen + 1, pieceLen - h2.PrefixLen, pieceLen, 3*pieceLen + 7} {
		p := bytes.Repeat([]byte{'a', 'b', 'c'}, n/3+1)[:n]
		m := NewMessage(p)
		if m.Len() != n || !bytes.Equal(m.Bytes(), p) {
			t.Errorf("%d bytes: Len %d", n, m.Len())
		}
		got, compressed, used, err := h2.NextMessage(m.framed(), n)
		if err != nil || compressed || used != len(m.framed()) || !bytes.Equal(got, p) {
			t.Errorf("%d bytes: parsed %d, used %d, compressed %v, %v", n, len(got), used, compressed, err)
		}
		var together []byte
		for s := m.piece(0); s != nil; s = m.piece(len(together)) {
			if len(s.Bytes()) > pieceLen {
				t.Errorf("%d bytes: a piece of %d", n, len(s.Bytes()))
			}
			together = append(together, s.Bytes()...)
			if len(together)%pieceLen != 0 {
				break
			}
		}
		short := n+h2.PrefixLen <= shareMin
		if short && together != nil || !short && !bytes.Equal(together, m.framed()) {
			t.Errorf("%d bytes: %d bytes of pieces", n, len(together))
		}
		m.Release()
	}
}

// The payload is copied: the caller may use its slice again.
func TestMessageCopies(t *testing.T) {
	p := []byte("hello")
	m := NewMessage(p)
	p[0] = 'j'
	if string(m.Bytes()) != "hello" {
		t.Errorf("the message became %q", m.Bytes())
	}
}

// No piece begins in the middle of another, or behind the last.
func TestMessagePieceOffsets(t *testing.T) {
	m := NewMessage(make([]byte, 2*pieceLen-h2.PrefixLen))
	for off, want := range map[int]bool{0: true, 1: false, pieceLen: true, pieceLen + 1: false, 2 * pieceLen: false} {
		if got := m.piece(off) != nil; got != want {
			t.Errorf("piece(%d): %v", off, got)
		}
	}
}

// The last Release lets go of the pieces, and one more is caught.
func TestMessageCounted(t *testing.T) {
	m := NewMessage(make([]byte, 2*pieceLen))
	pieces := m.pieces
	m.Retain()
	m.Release()
	for _, s := range pieces { // still held: a reference may be added and given back
		s.Retain()
		s.Release()
	}
	m.Release()
	if !panics(m.Release) {
		t.Error("a Release too many went unnoticed")
	}
	for i, s := range pieces {
		if !panics(s.Release) {
			t.Errorf("piece %d was not released with the message", i)
		}
	}
}

func panics(f func()) (yes bool) {
	defer func() { yes = recover() != nil }()
	f()
	return false
}
