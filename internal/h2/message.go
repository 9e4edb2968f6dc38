package h2

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/weir-go/weir/internal/buf"
)

// PrefixLen is the length of what stands before each gRPC message:
//
//	+----------------+---------------------------+
//	| compressed (8) |        length (32)        |
//	+----------------+---------------------------+
const PrefixLen = 5

// What can be wrong with a gRPC message. Compare with errors.Is.
var (
	ErrMessageSize = errors.New("h2: a message is larger than the limit")
	ErrMessageFlag = errors.New("h2: a message's first byte is neither 0 nor 1")
)

// AppendPrefix appends the prefix of a message of n bytes.
func AppendPrefix(dst []byte, compressed bool, n int) []byte {
	flag := byte(0)
	if compressed {
		flag = 1
	}
	return append(dst, flag, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

// prefix reads and checks a prefix.
func prefix(p []byte, max int) (compressed bool, n int, err error) {
	size := binary.BigEndian.Uint32(p[1:PrefixLen])
	switch {
	case p[0] > 1:
		return false, 0, ErrMessageFlag
	case uint64(size) > uint64(min(max, math.MaxInt32)):
		return false, 0, ErrMessageSize
	}
	return p[0] == 1, int(size), nil
}

// NextMessage cuts the first message off p without copying it. used is what it
// took of p, 0 when p does not hold all of it: then an Assembler takes over.
// max is the most bytes that a message may have.
func NextMessage(p []byte, max int) (msg []byte, compressed bool, used int, err error) {
	if len(p) < PrefixLen {
		return nil, false, 0, nil
	}
	compressed, n, err := prefix(p, max)
	if err != nil || len(p)-PrefixLen < n {
		return nil, false, 0, err
	}
	used = PrefixLen + n
	return p[PrefixLen:used:used], compressed, used, nil
}

// Assembler puts a message together that comes in pieces. Its storage grows
// with the bytes that are there, not with the length that was announced; up to
// buf.MaxStorage it is pooled. The zero value waits for a prefix. It is not safe
// for concurrent use.
type Assembler struct {
	store      []byte // bytes of the message so far
	size       int    // of the message, known once the prefix is there
	prefix     [PrefixLen]byte
	have       uint8 // bytes of prefix
	compressed bool
}

// Add takes bytes until the message is complete, and returns how many. When
// done, Message has it; the bytes behind it are the next message's, and Reset
// comes before the next Add.
func (a *Assembler) Add(p []byte, max int) (used int, done bool, err error) {
	if a.have < PrefixLen {
		used = copy(a.prefix[a.have:], p)
		if a.have += uint8(used); a.have < PrefixLen {
			return used, false, nil
		}
		if a.compressed, a.size, err = prefix(a.prefix[:], max); err != nil {
			return used, false, err
		}
		p = p[used:]
	}
	if n := a.size - len(a.store); len(p) > n {
		p = p[:n]
	}
	if len(p) > cap(a.store)-len(a.store) {
		a.grow(len(a.store) + len(p))
	}
	a.store = append(a.store, p...)
	return used + len(p), len(a.store) == a.size, nil
}

// grow makes room for n bytes, and at least twice what there was, but not for
// more than the message.
func (a *Assembler) grow(n int) {
	n = min(max(n, 2*cap(a.store)), a.size)
	old := a.store
	if n <= buf.MaxStorage {
		a.store = buf.Get(n)[:0]
	} else {
		a.store = make([]byte, 0, n)
	}
	a.store = append(a.store, old...)
	putStore(old)
}

// Message returns the message's bytes, and whether they are compressed. They
// are valid until Reset.
func (a *Assembler) Message() (msg []byte, compressed bool) { return a.store, a.compressed }

// Take returns the message's bytes to keep, and empties the Assembler without
// giving them back: the caller does, with FreeMessage.
func (a *Assembler) Take() (msg []byte) {
	msg = a.store
	*a = Assembler{}
	return msg
}

// FreeMessage gives the storage of a message from Take back.
func FreeMessage(msg []byte) { putStore(msg) }

// Begun reports whether a message has begun and is not yet taken.
func (a *Assembler) Begun() bool { return a.have > 0 }

// Len returns how many bytes of the message are there.
func (a *Assembler) Len() int { return len(a.store) }

// Size returns the length that the message has announced, once its prefix is
// there.
func (a *Assembler) Size() int { return a.size }

// Held returns the bytes of storage in use, for budgets.
func (a *Assembler) Held() int { return cap(a.store) }

// Reset gives the storage back and waits for the next message.
func (a *Assembler) Reset() {
	putStore(a.store)
	*a = Assembler{}
}

// putStore gives storage back if it came from the pool: that is never larger
// than MaxStorage, and what is made here is.
func putStore(p []byte) {
	if c := cap(p); c > 0 && c <= buf.MaxStorage {
		buf.Put(p[:c])
	}
}
