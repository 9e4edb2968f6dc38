package h2c

import (
	"bytes"
	"fmt"

	"golang.org/x/net/http2/hpack"
)

// fields is HPACK both ways. A server sends the same two or three blocks all the time: what a block says is remembered
// as long as its bytes can't mean anything else, which is until a block has changed the table.
type fields struct {
	enc  *hpack.Encoder
	text bytes.Buffer
	dec  *hpack.Decoder

	got  string // grpc-status of the block that is decoded; "-" while there is none
	bad  error
	last [4]known
	turn int
}

type known struct {
	block  []byte
	status string
}

func (f *fields) init() {
	f.enc = hpack.NewEncoder(&f.text)
	f.dec = hpack.NewDecoder(4096, func(h hpack.HeaderField) {
		switch {
		case h.Name == "grpc-status":
			f.got = h.Value
		case h.Name == ":status" && h.Value != "200":
			f.bad = fmt.Errorf("%w: status %s", ErrEnded, h.Value)
		}
	})
}

// request encodes the header of a request.
func (f *fields) request(path string) []byte {
	f.text.Reset()
	for _, h := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", path}, {":authority", "localhost"},
		{"content-type", "application/grpc"}, {"user-agent", "weir-bench"}, {"te", "trailers"},
	} {
		f.enc.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]})
	}
	return bytes.Clone(f.text.Bytes())
}

// status returns the grpc-status in a block, "-" when it has none.
func (f *fields) status(block []byte) (string, error) {
	for i := range f.last {
		if f.last[i].block != nil && bytes.Equal(f.last[i].block, block) {
			return f.last[i].status, nil
		}
	}
	f.got = "-"
	if _, err := f.dec.Write(block); err != nil {
		return "", fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if err := f.dec.Close(); err != nil {
		return "", fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if changes(block) {
		f.last = [4]known{}
	} else {
		f.last[f.turn%len(f.last)] = known{bytes.Clone(block), f.got}
		f.turn++
	}
	return f.got, f.bad
}

// changes reports whether a valid block may change the table: RFC 7541, section 6. It looks at each field's first byte
// and steps over its numbers and strings.
func changes(block []byte) bool {
	for len(block) > 0 {
		first := block[0]
		switch {
		case first&0x80 != 0:
			_, block = number(block, 7)
			continue
		case first&0xe0 != 0:
			return true // an insertion, or a new size
		}
		index, rest := number(block, 4)
		if block = rest; index == 0 {
			block = skip(block)
		}
		block = skip(block)
	}
	return false
}

// number reads an integer with a prefix of some bits.
func number(p []byte, bits uint) (uint64, []byte) {
	if len(p) == 0 {
		return 0, nil
	}
	most := uint64(1)<<bits - 1
	v := uint64(p[0]) & most
	p = p[1:]
	if v < most {
		return v, p
	}
	for shift := 0; len(p) > 0 && shift < 63; shift += 7 {
		b := p[0]
		p = p[1:]
		v += uint64(b&0x7f) << shift
		if b < 0x80 {
			break
		}
	}
	return v, p
}

// skip steps over a string.
func skip(p []byte) []byte {
	n, rest := number(p, 7)
	return rest[min(n, uint64(len(rest))):]
}
