package h2

import "golang.org/x/net/http2/hpack"

// Indexes of HPACK's static table (RFC 7541, appendix A) that gRPC's constant
// fields have. AppendIndexed writes a whole field of these.
const (
	IndexMethodPOST  = 3
	IndexPathRoot    = 4
	IndexSchemeHTTP  = 6
	IndexSchemeHTTPS = 7
	IndexStatus200   = 8
)

// staticNames are the names of HPACK's static table with the first index of
// each.
var staticNames = map[string]uint8{
	":authority": 1, ":method": 2, ":path": 4, ":scheme": 6, ":status": 8,
	"accept-charset": 15, "accept-encoding": 16, "accept-language": 17, "accept-ranges": 18, "accept": 19,
	"access-control-allow-origin": 20, "age": 21, "allow": 22, "authorization": 23, "cache-control": 24,
	"content-disposition": 25, "content-encoding": 26, "content-language": 27, "content-length": 28,
	"content-location": 29, "content-range": 30, "content-type": 31, "cookie": 32, "date": 33, "etag": 34,
	"expect": 35, "expires": 36, "from": 37, "host": 38, "if-match": 39, "if-modified-since": 40,
	"if-none-match": 41, "if-range": 42, "if-unmodified-since": 43, "last-modified": 44, "link": 45,
	"location": 46, "max-forwards": 47, "proxy-authenticate": 48, "proxy-authorization": 49, "range": 50,
	"referer": 51, "refresh": 52, "retry-after": 53, "server": 54, "set-cookie": 55,
	"strict-transport-security": 56, "transfer-encoding": 57, "user-agent": 58, "vary": 59, "via": 60,
	"www-authenticate": 61,
}

// The first byte of HPACK's field representations, RFC 7541, section 6, and how
// many of its bits are an integer's.
const (
	asIndexed, indexedBits = 0x80, 7
	asLiteral, literalBits = 0x00, 4 // without indexing
	asSecret, secretBits   = 0x10, 4 // never indexed
	stringBits             = 7       // of a string's length; the bit above says Huffman
)

// AppendIndexed appends a field of the static table.
func AppendIndexed(dst []byte, index uint64) []byte {
	return appendInt(dst, asIndexed, indexedBits, index)
}

// AppendField appends a field that neither uses nor changes the dynamic table:
// the result is the same for every connection and may be kept and sent again.
// The name is in lower case. Names of the static table are sent by index,
// strings without Huffman coding.
func AppendField(dst []byte, name, value string) []byte {
	return appendLiteral(dst, asLiteral, literalBits, name, value)
}

// AppendNeverIndexed is AppendField for a value that no hop may keep in a table,
// such as a credential; RFC 7541, section 7.1.
func AppendNeverIndexed(dst []byte, name, value string) []byte {
	return appendLiteral(dst, asSecret, secretBits, name, value)
}

func appendLiteral(dst []byte, first byte, bits uint, name, value string) []byte {
	index := staticNames[name]
	dst = appendInt(dst, first, bits, uint64(index))
	if index == 0 {
		dst = appendString(dst, name)
	}
	return appendString(dst, value)
}

func appendString(dst []byte, s string) []byte {
	return append(appendInt(dst, 0, stringBits, uint64(len(s))), s...)
}

// appendInt appends an integer whose first bits share a byte with first,
// RFC 7541, section 5.1.
func appendInt(dst []byte, first byte, bits uint, v uint64) []byte {
	most := uint64(1)<<bits - 1
	if v < most {
		return append(dst, first|byte(v))
	}
	dst = append(dst, first|byte(most))
	for v -= most; v >= 0x80; v >>= 7 {
		dst = append(dst, byte(v)|0x80)
	}
	return append(dst, byte(v))
}

// Encoder writes header blocks with a dynamic table, for the side that sends
// the same fields again and again. It belongs to one connection: blocks must be
// sent in the order in which they were written. The zero value is ready.
type Encoder struct {
	enc *hpack.Encoder
	out tail
}

// tail is where the encoder writes.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	return len(p), nil
}

// Append appends a field; secret keeps it out of all tables.
func (e *Encoder) Append(dst []byte, name, value string, secret bool) []byte {
	e.begin()
	e.out.b = dst
	e.enc.WriteField(hpack.HeaderField{Name: name, Value: value, Sensitive: secret}) // tail never fails
	dst, e.out.b = e.out.b, nil
	return dst
}

// SetTableSize follows the peer's SETTINGS_HEADER_TABLE_SIZE, up to 4096 bytes.
// The next block tells the peer.
func (e *Encoder) SetTableSize(n uint32) {
	e.begin()
	e.enc.SetMaxDynamicTableSizeLimit(n)
	e.enc.SetMaxDynamicTableSize(min(n, before.HeaderTable))
}

func (e *Encoder) begin() {
	if e.enc == nil {
		e.enc = hpack.NewEncoder(&e.out)
	}
}
