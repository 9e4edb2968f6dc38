package redis

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/weir-go/weir/idem"
)

// errReply: the server answered what no script of ours answers.
var errReply = fmt.Errorf("%w: redis: unexpected reply", idem.ErrRefused)

// serverError is an error as the server sent it.
type serverError string

// Error returns what the server said.
func (e serverError) Error() string { return string(e) }

// RedisError marks it as go-redis marks its own.
func (serverError) RedisError() {}

// reply is what a script has answered: a list of strings and integers, or one of
// them. Its bytes are valid until it is released. The first thing wrong with it
// is kept in err.
type reply struct {
	list  [maxFields][]byte
	n     int
	array bool
	err   error
	call  *call // whose bytes these are; nil: their own
}

// add appends an element; the server's errors are not elements.
func (r *reply) add(e element) {
	if e.kind == '-' {
		r.err = serverError(e.text)
		return
	}
	r.list[r.n] = e.text
	r.n++
}

// release gives the bytes back.
func (r *reply) release() {
	if r.call != nil {
		r.call.free()
	}
}

// fields says what is wrong unless r is a list of n.
func (r *reply) fields(n int) error {
	if !r.array || r.n != n {
		return fmt.Errorf("%w: %.100q", errReply, r.list[:r.n])
	}
	return nil
}

func (r *reply) fail(what string) {
	r.err = errors.Join(r.err, fmt.Errorf("%w: %s in %.100q", errReply, what, r.list[:r.n]))
}

func (r *reply) text(i int) string { return string(r.list[i]) }

// bytes is nil for nothing.
func (r *reply) bytes(i int) []byte { return append([]byte(nil), r.list[i]...) }

func (r *reply) number(i int) uint64 {
	n, err := strconv.ParseUint(string(r.list[i]), 10, 64)
	if err != nil {
		r.fail("number")
	}
	return n
}

func (r *reply) ms(i int) time.Duration {
	n, err := strconv.ParseInt(string(r.list[i]), 10, 64)
	if err != nil {
		r.fail("milliseconds")
	}
	return time.Duration(n) * time.Millisecond
}

func (r *reply) hex(i int, to []byte) {
	if len(r.list[i]) != hex.EncodedLen(len(to)) {
		r.fail("hexadecimal")
		return
	}
	if _, err := hex.Decode(to, r.list[i]); err != nil {
		r.fail("hexadecimal")
	}
}

func (r *reply) state(i int) idem.State {
	s := r.list[i]
	if len(s) != 1 || idem.State(s[0]).String() == "invalid" {
		r.fail("state")
		return idem.Absent
	}
	return idem.State(s[0])
}
