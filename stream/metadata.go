package stream

import (
	"encoding/base64"
	"strings"
)

// Metadata are the custom fields of a header or of trailers, in their order; a
// key may come several times. Keys are in lower case. The value of a key that
// ends in "-bin" is any bytes; others are printable ASCII. What a stream returns
// as Metadata is shared and must not be changed.
type Metadata []Pair

// Pair is one field.
type Pair struct{ Key, Value string }

// Value returns the first value of a key, and whether there is one.
func (md Metadata) Value(key string) (string, bool) {
	for i := range md {
		if md[i].Key == key {
			return md[i].Value, true
		}
	}
	return "", false
}

// Values returns all values of a key in their order.
func (md Metadata) Values(key string) (all []string) {
	for i := range md {
		if md[i].Key == key {
			all = append(all, md[i].Value)
		}
	}
	return all
}

const binSuffix = "-bin"

// reserved reports whether a field is the protocol's own: it is not shown as
// metadata and cannot be set.
func reserved(key string) bool {
	switch key {
	case "content-type", "te", "grpc-timeout", "grpc-encoding", "grpc-accept-encoding", "grpc-message-type",
		"grpc-status", "grpc-message", "grpc-status-details-bin",
		"connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade", "content-length":
		return true
	}
	return strings.HasPrefix(key, ":")
}

// validPair reports whether a pair may be sent.
func validPair(p Pair) bool {
	if p.Key == "" || reserved(p.Key) {
		return false
	}
	for i := range len(p.Key) {
		switch c := p.Key[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	if strings.HasSuffix(p.Key, binSuffix) {
		return true
	}
	for i := range len(p.Value) {
		if c := p.Value[i]; c < ' ' || c > '~' {
			return false
		}
	}
	return strings.Trim(p.Value, " ") == p.Value
}

// decodeBin appends the values of a field whose key ends in "-bin": base64 with
// or without padding, several joined by commas.
func decodeBin(dst Metadata, key, value string) (Metadata, bool) {
	for {
		v, rest, more := strings.Cut(value, ",")
		b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.Trim(v, " "), "="))
		if err != nil {
			return dst, false
		}
		dst = append(dst, Pair{key, string(b)})
		if !more {
			return dst, true
		}
		value = rest
	}
}

// encodeBin returns a "-bin" value as it is sent.
func encodeBin(v string) string { return base64.RawStdEncoding.EncodeToString([]byte(v)) }

// encodeMessage returns a grpc-message as it is sent: bytes that are not
// printable ASCII, and the percent sign, become %XX.
func encodeMessage(s string) string {
	const hex = "0123456789ABCDEF"
	i := 0
	for i < len(s) && plain(s[i]) {
		i++
	}
	if i == len(s) && strings.Trim(s, " ") == s {
		return s
	}
	b := make([]byte, 0, len(s)+16)
	for i := range len(s) {
		c := s[i]
		// A blank at either end would be taken for white space around the field.
		if edge := i == 0 || i == len(s)-1; plain(c) && !(c == ' ' && edge) {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

func plain(c byte) bool { return ' ' <= c && c <= '~' && c != '%' }

// decodeMessage reads a grpc-message. What is not %XX stays as it is.
func decodeMessage(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, ok1 := unhex(s[i+1])
			lo, ok2 := unhex(s[i+2])
			if ok1 && ok2 {
				b = append(b, hi<<4|lo)
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
