package healthgrpc

import (
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
