package stream

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weir-go/weir/conn"
)

func TestTimeouts(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"1n": 1, "20u": 20 * time.Microsecond, "300m": 300 * time.Millisecond, "4S": 4 * time.Second,
		"5M": 5 * time.Minute, "6H": 6 * time.Hour, "0S": 0, "99999999n": 99999999, "99999999H": never,
		"0000001S": time.Second,
	} {
		if d, ok := parseTimeout(s); !ok || d != want {
			t.Errorf("%q is %v, %v; want %v", s, d, ok, want)
		}
	}
	for _, s := range []string{"", "1", "S", "1s", "-1S", "1.5S", "123456789n", " 1S", "1S ", "0x1S", "１S"} {
		if d, ok := parseTimeout(s); ok {
			t.Errorf("%q is %v", s, d)
		}
	}
	for d, want := range map[time.Duration]string{
		-1: "0n", 0: "0n", 1: "1n", 99999999: "99999999n", 100000000: "100000u", time.Second: "1000000u",
		100 * time.Second: "100000m", 99999999*time.Microsecond + 1: "100000m",
		1000 * time.Hour: "3600000S", never: "2562048H",
	} {
		if s := string(appendTimeout(nil, d)); s != want {
			t.Errorf("%v is %q, want %q", d, s, want)
		}
	}
}

// What is written is read back: never earlier, and later by less than a part in
// ten thousand.
func FuzzTimeout(f *testing.F) {
	f.Add(int64(1), "1S")
	f.Add(int64(never), "99999999H")
	f.Fuzz(func(t *testing.T, n int64, s string) {
		if d, ok := parseTimeout(s); ok && (d < 0 || len(s) > 9) {
			t.Errorf("%q is %v", s, d)
		}
		want := max(time.Duration(n), 0)
		got, ok := parseTimeout(string(appendTimeout(nil, want)))
		if !ok || got < want || got-want > want/10_000 && got != never {
			t.Errorf("%v becomes %v, %v", want, got, ok)
		}
	})
}

func TestMessagesOfStatuses(t *testing.T) {
	for s, want := range map[string]string{
		"": "", "plain text, it is": "plain text, it is", "100%": "100%25", "a\nb": "a%0Ab",
		"ü": "%C3%BC", " edge ": "%20edge%20", "\x7f": "%7F", "tab\t": "tab%09",
	} {
		if e := encodeMessage(s); e != want {
			t.Errorf("%q is sent as %q, want %q", s, e, want)
		}
	}
	for s, want := range map[string]string{"%": "%", "%4": "%4", "%zz": "%zz", "%41%4a%4A": "AJJ", "a%2": "a%2", "%%41": "%A"} {
		if d := decodeMessage(s); d != want {
			t.Errorf("%q is read as %q, want %q", s, d, want)
		}
	}
}

func FuzzStatusMessage(f *testing.F) {
	f.Add("100 % \n ü")
	f.Fuzz(func(t *testing.T, s string) {
		e := encodeMessage(s)
		if decodeMessage(e) != s {
			t.Errorf("%q becomes %q", s, decodeMessage(e))
		}
		if strings.Trim(e, " ") != e || strings.ContainsFunc(e, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q cannot be a field's value", e)
		}
		decodeMessage(s)
	})
}

func TestBinaryMetadata(t *testing.T) {
	for s, want := range map[string][]string{
		"": {""}, "AAE": {"\x00\x01"}, "AAE=": {"\x00\x01"}, "AAE,AQ": {"\x00\x01", "\x01"}, "AQ==, AQ": {"\x01", "\x01"},
	} {
		md, ok := decodeBin(nil, "k-bin", s)
		if !ok || strings.Join(md.Values("k-bin"), "|") != strings.Join(want, "|") || len(md) != len(want) {
			t.Errorf("%q is %q, %v; want %q", s, md, ok, want)
		}
	}
	for _, s := range []string{"A", "####", "AAE-", "AQ,#"} {
		if md, ok := decodeBin(nil, "k-bin", s); ok {
			t.Errorf("%q is %q", s, md)
		}
	}
}

func FuzzBinaryMetadata(f *testing.F) {
	f.Add([]byte("\x00\xff"), "AAE=,AQ")
	f.Fuzz(func(t *testing.T, v []byte, s string) {
		md, ok := decodeBin(nil, "k-bin", encodeBin(string(v)))
		if !ok || len(md) != 1 || md[0].Value != string(v) {
			t.Errorf("%q becomes %q, %v", v, md, ok)
		}
		decodeBin(nil, "k-bin", s)
	})
}

func TestMetadataThatMayBeSent(t *testing.T) {
	for _, c := range []struct {
		p  Pair
		ok bool
	}{
		{Pair{"a", "1"}, true}, {Pair{"a.b-c_9", ""}, true}, {Pair{"x-bin", "\x00"}, true}, {Pair{"user-agent", "x"}, true},
		{Pair{"", "1"}, false}, {Pair{"A", "1"}, false}, {Pair{"a b", "1"}, false}, {Pair{":path", "/"}, false},
		{Pair{"grpc-status", "0"}, false}, {Pair{"content-type", "x"}, false}, {Pair{"te", "x"}, false},
		{Pair{"a", "ü"}, false}, {Pair{"a", "1\n"}, false}, {Pair{"a", " 1"}, false}, {Pair{"connection", "close"}, false},
	} {
		if ok := validPair(c.p); ok != c.ok {
			t.Errorf("%q: %v", c.p, ok)
		}
	}
	md := Metadata{{"a", "1"}, {"b", "2"}, {"a", "3"}}
	if v, ok := md.Value("a"); v != "1" || !ok {
		t.Errorf("a is %q, %v", v, ok)
	}
	if _, ok := md.Value("c"); ok || len(md.Values("a")) != 2 || md.Values("c") != nil {
		t.Errorf("values of a: %q, of c: %q", md.Values("a"), md.Values("c"))
	}
}

func TestStatuses(t *testing.T) {
	wrapped := errors.Join(errors.New("more"), &Status{Code: NotFound, Message: "no", Details: []byte("d")})
	for _, c := range []struct {
		err  error
		code Code
		text string
	}{
		{nil, OK, ""}, {&Status{Code: Aborted, Message: "x"}, Aborted, "x"}, {(*Status)(nil), OK, ""},
		{wrapped, NotFound, wrapped.Error()}, {context.Canceled, Canceled, "context canceled"},
		{context.DeadlineExceeded, DeadlineExceeded, "context deadline exceeded"}, {os.ErrDeadlineExceeded, DeadlineExceeded, "i/o timeout"},
		{errors.New("what"), Unknown, "what"}, {ErrFull, ResourceExhausted, ErrFull.Error()}, {conn.ErrBusy, ResourceExhausted, conn.ErrBusy.Error()},
	} {
		if s := StatusOf(c.err); s.Code != c.code || s.Message != c.text {
			t.Errorf("%v is %v", c.err, s)
		}
	}
	if s := StatusOf(wrapped); string(s.Details) != "d" {
		t.Error("details are lost")
	}
	var s error = &Status{Code: DeadlineExceeded}
	if !errors.Is(s, context.DeadlineExceeded) || errors.Is(s, context.Canceled) || !errors.Is(s, &Status{Code: DeadlineExceeded, Message: "other"}) {
		t.Error("a status is not what it is")
	}
	if (&Status{}).asError() != nil || (*Status)(nil).asError() != nil || Code(99).String() != "99" || Unavailable.String() != "UNAVAILABLE" {
		t.Error("OK is an error, or a name is wrong")
	}
}

func TestGzip(t *testing.T) {
	for _, g := range []Compressor{Gzip(0), Gzip(1), Gzip(99)} {
		for _, n := range []int{0, 1, 1000, 1 << 20} {
			want := bytes.Repeat([]byte{7}, n)
			for range 2 { // the second one finds what the first has left
				z, err := g.Compress([]byte("before"), want)
				if err != nil || !bytes.HasPrefix(z, []byte("before")) {
					t.Fatal(n, err)
				}
				p, err := g.Decompress([]byte("x"), z[6:], n)
				if err != nil || p[0] != 'x' || !bytes.Equal(p[1:], want) {
					t.Errorf("%d bytes: %d come back, %v", n, len(p)-1, err)
				}
				if n == 0 {
					continue
				}
				if p, err = g.Decompress(nil, z[6:], n-1); err != ErrTooLarge || len(p) != n-1 {
					t.Errorf("%d bytes with one too few: %d, %v", n, len(p), err)
				}
			}
		}
		if _, err := g.Decompress(nil, []byte("no gzip"), 10); err == nil {
			t.Error("anything is gzip")
		}
	}
}

func TestBuffers(t *testing.T) {
	for _, n := range []int{0, 1, 507, 508, 1 << 18, 1<<18 + 1} {
		b := NewBuffer(n)
		if len(b.Bytes()) != n {
			t.Errorf("%d bytes for %d", len(b.Bytes()), n)
		}
		for i := range b.Bytes() {
			b.Bytes()[i] = byte(i)
		}
		b.Append([]byte("end"))
		b.Append(make([]byte, 5000))
		if p := b.Bytes(); len(p) != n+5003 || string(p[n:n+3]) != "end" || n > 300 && p[300] != byte(300&0xff) {
			t.Errorf("after Append: %d bytes", len(p))
		}
		b.seal()
		var out []byte
		for b.unsent() > 0 {
			out = b.take(out, min(b.unsent(), 1000))
		}
		if !bytes.Equal(out, message(string(b.Bytes()))) {
			t.Errorf("%d bytes: another message goes out", n)
		}
		b.Release()
	}
	m := NewMessage([]byte("shared"))
	b := buffers.Get().(*Buffer)
	b.msg = m
	var out []byte
	for b.unsent() > 0 {
		out = b.take(out, 1)
	}
	if string(out) != string(message("shared")) || b.size() != len(out) {
		t.Errorf("%q goes out", out)
	}
	b.Release()
}
