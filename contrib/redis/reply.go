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

// reply is a script's list of strings and integers. The first thing wrong with
// it is kept in err.
type reply struct {
	list []any
	err  error
}

func fields(v any, n int) (*reply, error) {
	list, isList := v.([]any)
	if !isList || len(list) != n {
		return nil, fmt.Errorf("%w: %.100v", errReply, v)
	}
	return &reply{list: list}, nil
}

func (r *reply) fail(what string) {
	r.err = errors.Join(r.err, fmt.Errorf("%w: %s in %.100v", errReply, what, r.list))
}

func (r *reply) text(i int) string {
	switch v := r.list[i].(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	}
	r.fail("type")
	return ""
}

// bytes is nil for nothing.
func (r *reply) bytes(i int) []byte {
	if s := r.text(i); s != "" {
		return []byte(s)
	}
	return nil
}

func (r *reply) number(i int) uint64 {
	n, err := strconv.ParseUint(r.text(i), 10, 64)
	if err != nil {
		r.fail("number")
	}
	return n
}

func (r *reply) ms(i int) time.Duration {
	n, err := strconv.ParseInt(r.text(i), 10, 64)
	if err != nil {
		r.fail("milliseconds")
	}
	return time.Duration(n) * time.Millisecond
}

func (r *reply) hex(i int, to []byte) {
	b, err := hex.DecodeString(r.text(i))
	if err != nil || len(b) != len(to) {
		r.fail("hexadecimal")
	}
	copy(to, b)
}

func (r *reply) state(i int) idem.State {
	s := r.text(i)
	if len(s) != 1 || idem.State(s[0]).String() == "invalid" {
		r.fail("state")
		return idem.Absent
	}
	return idem.State(s[0])
}
