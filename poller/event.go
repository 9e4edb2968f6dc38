package poller

import "strings"

// Token names a registration. The kernel keeps it and hands it back with each
// event, unchanged; the poller never looks inside. By convention it is the
// place of the connection in a table (slot) and how often that place was given
// away (generation), so that a late event of an earlier tenant can be told
// from one of the present tenant. The value ^Token(0) is reserved.
type Token uint64

const wakeToken = ^Token(0)

// MakeToken puts slot into the low and gen into the high 32 bits.
func MakeToken(slot, gen uint32) Token { return Token(slot) | Token(gen)<<32 }

// Slot returns the low 32 bits.
func (t Token) Slot() uint32 { return uint32(t) }

// Gen returns the high 32 bits.
func (t Token) Gen() uint32 { return uint32(t >> 32) }

// Ready says what a descriptor became ready for. It is a set of bits and a
// hint: only the read or write that follows knows for certain, and a spurious
// bit must cost the caller nothing but an EAGAIN.
type Ready uint8

const (
	// Readable: there may be bytes, connections to accept, or an end of file.
	Readable Ready = 1 << iota

	// Writable: there may be room to write, or a connect has finished.
	Writable

	// Hangup: the peer will send nothing more. Bytes may still wait to be
	// read, and the way to the peer may still be open. Comes with Readable.
	Hangup

	// Failed: the descriptor has an error; fetch it with SO_ERROR or by the
	// next read or write. Comes with Readable and Writable, so that whichever
	// side is waiting finds out.
	Failed
)

// Has reports whether r contains any of the bits of x.
func (r Ready) Has(x Ready) bool { return r&x != 0 }

// String returns the bits by name: "readable|hangup", or "none".
func (r Ready) String() string {
	names := [...]string{"readable", "writable", "hangup", "failed"}
	var set []string
	for i, name := range names {
		if r.Has(1 << i) {
			set = append(set, name)
		}
	}
	if set == nil {
		return "none"
	}
	return strings.Join(set, "|")
}

// Event is one edge: the registration and what it became ready for. A
// descriptor may appear more than once in a batch.
type Event struct {
	Token Token
	Ready Ready
}
