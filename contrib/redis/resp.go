package redis

import (
	"bytes"
	"encoding/hex"
	"math"
	"strconv"
	"time"
)

// RESP2 (redis.io, "Redis serialization protocol specification"), as much of it
// as scripts of ours and a handshake need: what is sent are arrays of bulk
// strings, what comes is one element, or an array of elements that are none
// themselves.
const (
	maxFields = 16       // of an array
	maxBulk   = 64 << 20 // bytes of a string
	maxLine   = 64 << 10 // bytes of a status, an error, a number
)

// appendHead appends the beginning of a command of n words.
func appendHead(b []byte, n int) []byte {
	b = append(b, '*')
	b = strconv.AppendInt(b, int64(n), 10)
	return append(b, '\r', '\n')
}

func appendWord[T string | []byte](b []byte, word T) []byte {
	b = append(b, '$')
	b = strconv.AppendInt(b, int64(len(word)), 10)
	b = append(b, '\r', '\n')
	b = append(b, word...)
	return append(b, '\r', '\n')
}

// arg is an argument of a script: bytes, bytes in hexadecimal, or a number.
type arg struct {
	kind argKind
	b    []byte
	n    uint64
}

type argKind byte

const (
	isText argKind = iota
	isHex
	isNumber
)

func text(b []byte) arg      { return arg{kind: isText, b: b} }
func hexed(b []byte) arg     { return arg{kind: isHex, b: b} }
func number(n uint64) arg    { return arg{kind: isNumber, n: n} }
func ms(d time.Duration) arg { return number(uint64(max(millis(d), 0))) }

// millis rounds up: a lease of less than a millisecond is none to Redis.
func millis(d time.Duration) int64 {
	return int64(min(d, math.MaxInt64-time.Millisecond)+time.Millisecond-1) / int64(time.Millisecond)
}

// appendTo appends a as a word of a command.
func (a arg) appendTo(b []byte) []byte {
	var digits [20]byte
	switch a.kind {
	case isNumber:
		return appendWord(b, strconv.AppendUint(digits[:0], a.n, 10))
	case isHex:
		b = append(b, '$')
		b = strconv.AppendInt(b, int64(hex.EncodedLen(len(a.b))), 10)
		b = append(b, '\r', '\n')
		b = hex.AppendEncode(b, a.b)
		return append(b, '\r', '\n')
	}
	return appendWord(b, a.b)
}

// any is a for go-redis.
func (a arg) any() any {
	switch a.kind {
	case isNumber:
		return a.n
	case isHex:
		return hex.EncodeToString(a.b)
	}
	return string(a.b)
}

// element is one element of a reply.
type element struct {
	kind byte   // + - : $ *
	text []byte // of all but *; digits of a number
	n    int    // of *: how many follow; -1: nothing
}

// readElement reads the element at the beginning of b. size is 0 when some of it
// has still to come.
func readElement(b []byte) (e element, size int, err error) {
	i := bytes.IndexByte(b[:min(len(b), maxLine)], '\n')
	switch {
	case i < 0 && len(b) >= maxLine, i >= 0 && (i < 2 || b[i-1] != '\r'):
		return e, 0, errReply
	case i < 0:
		return e, 0, nil
	}
	e = element{kind: b[0], text: b[1 : i-1]}
	size = i + 1
	switch e.kind {
	case '+', '-':
		return e, size, nil
	case ':':
		if _, err := strconv.ParseInt(string(e.text), 10, 64); err != nil {
			return e, 0, errReply
		}
		return e, size, nil
	case '$', '*':
	default:
		return e, 0, errReply
	}
	n, err := strconv.ParseInt(string(e.text), 10, 64)
	switch {
	case err != nil, n < -1, e.kind == '$' && n > maxBulk, e.kind == '*' && n > maxFields:
		return e, 0, errReply
	case n == -1, e.kind == '*':
		e.n, e.text = int(n), nil
		return e, size, nil
	case len(b) < size+int(n)+2:
		return e, 0, nil
	}
	e.text = b[size : size+int(n)]
	size += int(n) + 2
	if b[size-2] != '\r' || b[size-1] != '\n' {
		return e, 0, errReply
	}
	return e, size, nil
}

// readReply reads the reply at the beginning of b, into r if that is not nil,
// which then shares b's bytes. size is 0 when some of it has still to come. A
// reply that is the server's error is in r.err.
func readReply(b []byte, r *reply) (size int, err error) {
	first, size, err := readElement(b)
	if err != nil || size == 0 {
		return 0, err
	}
	if first.kind != '*' {
		if r != nil {
			r.add(first)
		}
		return size, nil
	}
	if r != nil {
		r.array = true
	}
	for range first.n {
		e, n, err := readElement(b[size:])
		if err != nil || n == 0 {
			return 0, err
		}
		if e.kind == '*' {
			return 0, errReply
		}
		if r != nil {
			r.add(e)
		}
		size += n
	}
	return size, nil
}
