package idemgrpc_test

import (
	"testing"

	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/weir-go/weir/contrib/grpc/idemgrpc"
)

// FuzzReplay: whatever is stored, there is an answer or an error.
func FuzzReplay(f *testing.F) {
	for _, err := range []error{nil, status.Error(codes.NotFound, "no")} {
		b, _ := idemgrpc.Result(&testpb.SimpleResponse{Username: "u"}, err)
		f.Add(b)
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := idemgrpc.Replay(b)
		if (m == nil) == (err == nil) {
			t.Fatalf("%v and %v", m, err)
		}
	})
}
