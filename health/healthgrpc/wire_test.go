package healthgrpc

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weir-go/weir/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// FuzzRequest compares with package protobuf, whose wrapper of a string has the
// field that a request has.
func FuzzRequest(f *testing.F) {
	f.Add([]byte{}, "chat.Chat")
	f.Add([]byte("\x0a\x01a\x0a\x01b\x10\x05\x19........\x25...."), "")
	f.Add([]byte("\x0a\xff\xff\xff\xff\x0f"), "a")
	f.Fuzz(func(t *testing.T, p []byte, name string) {
		var m wrapperspb.StringValue
		if service, ok := parseRequest(p); ok {
			if err := proto.Unmarshal(p, &m); err != nil || m.Value != service {
				t.Errorf("%x is read as %q; protobuf: %q, %v", p, service, m.Value, err)
			}
		}
		whole, err := proto.Marshal(wrapperspb.String(name))
		if err != nil { // not UTF-8
			return
		}
		if service, ok := parseRequest(whole); !ok || service != name {
			t.Errorf("%q is read as %q, %v", name, service, ok)
		}
	})
}

// TestLongName: a name costs the server memory for as long as it is watched.
func TestLongName(t *testing.T) {
	for n, want := range map[int]error{0: nil, maxName: nil, maxName + 1: errLong, 4 << 20: errLong} {
		p, err := proto.Marshal(wrapperspb.String(strings.Repeat("x", n)))
		if err != nil {
			t.Fatal(err)
		}
		if service, err := request(p); err != want || err == nil && len(service) != n {
			t.Errorf("%d bytes: %d, %v", n, len(service), err)
		}
		w := &watcher{asked: true}
		if err := w.Message(nil, p); err != errTwo {
			t.Errorf("a second request: %v", err)
		}
		w.asked = false
		if want != nil {
			if err := w.Message(nil, p); err != want || w.service != "" {
				t.Errorf("a watch of %d bytes: %v, %d are kept", n, err, len(w.service))
			}
			if _, err := new(Service).check(nil, p); err != want {
				t.Errorf("a check of %d bytes: %v", n, err)
			}
		}
	}
}
