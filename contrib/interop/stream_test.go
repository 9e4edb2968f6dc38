package interop

import (
	"bytes"
	"context"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weir-go/weir/stream"
)

// long bounds what ends unless something is broken: ten thousand streams on a
// busy machine, too.
const long = 2 * time.Minute

func endOf(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), long)
	t.Cleanup(cancel)
	return ctx
}

func TestStreamUnary(t *testing.T) {
	_, addr := streamServer(t, stream.Config{}, echoes)
	cc := grpcClient(t, addr)
	for _, m := range []string{"Unary", "Open", "Go", "Await"} {
		for _, n := range []int{0, 1, 100, 70_000, 3 << 20} {
			want := bytes.Repeat([]byte("weir"), n/4+1)[:n]
			got, err := unary(within(t), cc, "/echo.Echo/"+m, want)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s, %d bytes: %d came back, %v", m, n, len(got), err)
			}
		}
	}
}

func TestStreamBidi(t *testing.T) {
	_, addr := streamServer(t, stream.Config{}, echoes)
	cc := grpcClient(t, addr)
	for _, m := range []string{"Open", "Go", "Await"} {
		cs := open(t, within(t), cc, "/echo.Echo/"+m)
		for i := range 300 {
			want := bytes.Repeat([]byte{byte(i)}, i*i%5000)
			if err := sendRaw(cs, want); err != nil {
				t.Fatal(m, err)
			}
			if got, err := recvRaw(cs); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%s: message %d: %d bytes for %d, %v", m, i, len(got), len(want), err)
			}
		}
		cs.CloseSend()
		if _, err := recvRaw(cs); err != io.EOF {
			t.Errorf("%s: ends with %v", m, err)
		}
	}
}

func TestStreamUnimplemented(t *testing.T) {
	_, addr := streamServer(t, stream.Config{}, echoes)
	cc := grpcClient(t, addr)
	for _, m := range []string{"/echo.Echo/None", "/none.None/None"} {
		if _, err := unary(within(t), cc, m, nil); status.Code(err) != codes.Unimplemented {
			t.Errorf("%s: %v", m, err)
		}
	}
}
