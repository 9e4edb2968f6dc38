// Package news is what the streams of a benchmark carry: messages of grpc.testing.BenchmarkService whose body has a
// number and a time, so that whoever receives one knows that none was lost, doubled or changed, and how long it took.
//
//	request   1a len  12 len  body      SimpleRequest{Payload{Body}}
//	response  0a len  12 len  body      SimpleResponse{Payload{Body}}
//
//	body      number (8)  time (8)  the rest: a word of the number and a salt, turned by a bit for each place
package news

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// Least is how many bytes a body has at least; it has a multiple of 8.
const Least = 24

// Put fills a body: message number seq of a stream that differs from others by its salt, sent at a time in
// nanoseconds.
func Put(body []byte, salt, seq uint64, at int64) {
	binary.LittleEndian.PutUint64(body, seq)
	binary.LittleEndian.PutUint64(body[8:], uint64(at))
	word := wordOf(salt, seq)
	for rest := body[16:]; len(rest) >= 8; rest = rest[8:] {
		binary.LittleEndian.PutUint64(rest, word)
		word = bits.RotateLeft64(word, 1)
	}
}

// Check returns the time of a body, and whether the body is that of message number seq, to the last byte.
func Check(body []byte, salt, seq uint64) (at int64, ok bool) {
	if len(body) < Least || len(body)%8 != 0 || binary.LittleEndian.Uint64(body) != seq {
		return 0, false
	}
	word, wrong := wordOf(salt, seq), uint64(0)
	for rest := body[16:]; len(rest) >= 8; rest = rest[8:] {
		wrong |= word ^ binary.LittleEndian.Uint64(rest)
		word = bits.RotateLeft64(word, 1)
	}
	return int64(binary.LittleEndian.Uint64(body[8:])), wrong == 0
}

// Number returns the number that a body claims to have.
func Number(body []byte) uint64 {
	if len(body) < Least {
		return 0
	}
	return binary.LittleEndian.Uint64(body)
}

// wordOf mixes salt and number so that neighbours of either have nothing in common.
func wordOf(salt, seq uint64) uint64 {
	return (seq+1)*0x9e3779b97f4a7c15 ^ (salt+1)*0xbf58476d1ce4e5b9
}

// Tags of the field Payload in the two messages.
const (
	Request  = 0x1a
	Response = 0x0a
)

// bodyTag is the tag of the field Body in Payload.
const bodyTag = 0x12

// AppendHead appends what stands before a body of n bytes in a message with the tag Request or Response.
func AppendHead(dst []byte, tag byte, n int) []byte {
	inner := 1 + varintLen(n) + n
	dst = binary.AppendUvarint(append(dst, tag), uint64(inner))
	return binary.AppendUvarint(append(dst, bodyTag), uint64(n))
}

// HeadLen is how many bytes AppendHead appends.
func HeadLen(n int) int { return 2 + varintLen(n) + varintLen(1+varintLen(n)+n) }

func varintLen(n int) int { return (bits.Len32(uint32(n)|1) + 6) / 7 }

// ErrMessage is a message of another form than AppendHead makes.
var ErrMessage = errors.New("news: not a message with a body alone")

// Body returns the body of a message with the given tag, without copying.
func Body(m []byte, tag byte) ([]byte, error) {
	if len(m) > 4 && m[0] == tag && int(m[1]) == len(m)-2 && m[2] == bodyTag && int(m[3]) == len(m)-4 && len(m) < 128 {
		return m[4:], nil
	}
	inner, ok := field(m, tag)
	if !ok {
		return nil, ErrMessage
	}
	body, ok := field(inner, bodyTag)
	if !ok {
		return nil, ErrMessage
	}
	return body, nil
}

// field takes the only field of a message.
func field(m []byte, tag byte) ([]byte, bool) {
	if len(m) < 2 || m[0] != tag {
		return nil, false
	}
	n, used := binary.Uvarint(m[1:])
	if used <= 0 || n != uint64(len(m)-1-used) {
		return nil, false
	}
	return m[1+used:], true
}
