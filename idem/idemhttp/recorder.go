package idemhttp

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"

	"github.com/weir-go/weir/idem"
)

// recorder keeps a response until it is known what becomes of it, or until it
// is too long to be kept: then it is sent as it comes.
type recorder struct {
	to     http.ResponseWriter
	limit  int
	header http.Header // the handler's
	said   http.Header // as it was when the status was said
	status int         // 0: nothing was said yet
	body   bytes.Buffer
	done   bool // the handler has returned
	passed bool // it is too long, and on its way
}

// Header implements http.ResponseWriter.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter. Informational responses are not
// kept.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status = status
		r.said = r.header.Clone()
	}
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	if !r.passed && r.body.Len()+len(p) > r.limit {
		r.send()
		r.passed = true
		r.body = bytes.Buffer{}
	}
	if r.passed {
		return r.to.Write(p)
	}
	return r.body.Write(p)
}

// end is the handler's: it has returned.
func (r *recorder) end() {
	r.WriteHeader(http.StatusOK)
	r.done = true
}

func (r *recorder) ran() bool { return r.done }

// send sends what is kept.
func (r *recorder) send() {
	if r.passed {
		return
	}
	maps.Copy(r.to.Header(), r.said)
	r.to.WriteHeader(r.status)
	r.to.Write(r.body.Bytes())
}

// meta is what is stored in front of a body.
type meta struct {
	Status  int
	Header  http.Header
	Omitted bool `json:",omitempty"` // the body was too long
}

// result is the response as Do wants it: to store, or an error that says what
// the status means.
func (r *recorder) result() ([]byte, error) {
	switch {
	case r.status == http.StatusTooManyRequests, r.status == http.StatusServiceUnavailable:
		return nil, idem.Transient(fmt.Errorf("idemhttp: status %d", r.status))
	case r.status >= 500:
		return nil, fmt.Errorf("idemhttp: status %d", r.status)
	}
	head, err := json.Marshal(meta{r.status, r.said, r.passed})
	if err != nil {
		return nil, err
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(len(head)))
	return append(append(b, head...), r.body.Bytes()...), nil
}

var errStored = errors.New("idemhttp: stored response cannot be read")

func parseResult(b []byte) (m meta, body []byte, err error) {
	if len(b) < 4 || uint64(len(b)-4) < uint64(binary.BigEndian.Uint32(b)) {
		return m, nil, errStored
	}
	n := int(binary.BigEndian.Uint32(b))
	if err := json.Unmarshal(b[4:4+n], &m); err != nil || m.Status < 200 || m.Status > 999 {
		return m, nil, errStored
	}
	return m, b[4+n:], nil
}

// replay sends a stored response.
func replay(w http.ResponseWriter, stored []byte) {
	m, body, err := parseResult(stored)
	switch {
	case err != nil:
		problem(w, http.StatusInternalServerError, err.Error())
	case m.Omitted:
		refuse(w, idem.ErrNotKept)
	default:
		maps.Copy(w.Header(), m.Header)
		w.Header().Set("Idempotency-Replayed", "true")
		w.WriteHeader(m.Status)
		w.Write(body)
	}
}

// parseKey reads the header: an Item of RFC 9651 that is a String, as the draft
// says, without parameters, or the bare word that many clients send.
func parseKey(lines []string) (id string, valid bool) {
	if len(lines) != 1 {
		return "", false
	}
	s := lines[0]
	if len(s) == 0 || s[0] != '"' {
		return s, s != "" && bare(s)
	}
	var b []byte
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return string(b), i == len(s)-1 && len(b) > 0
		case c == '\\':
			if i++; i == len(s) || s[i] != '"' && s[i] != '\\' {
				return "", false
			}
			b = append(b, s[i])
		case c < ' ' || c > '~':
			return "", false
		default:
			b = append(b, c)
		}
	}
	return "", false
}

// bare allows what clients send as a key without quotes: UUIDs, base64.
func bare(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' || c == '"' || c == ',' || c == ';' || c == '\\' {
			return false
		}
	}
	return true
}
