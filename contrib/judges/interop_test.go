package judges

import (
	"crypto/tls"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/contrib/grpc"
	"github.com/weir-go/weir/internal/certs"
)

// cases are those of gRPC's interop client that need neither Google's
// credentials nor a proxy's load reports.
var cases = []string{
	"empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream",
	"timeout_on_sleeping_server", "cancel_after_begin", "cancel_after_first_response",
	"status_code_and_message", "special_status_message", "custom_metadata",
	"unimplemented_method", "unimplemented_service", "rpc_soak", "channel_soak",
}

// TestInteropClient: grpc-go's interop client, as a program, against the drop-in
// server.
func TestInteropClient(t *testing.T) {
	judge := tool(t, ".", "google.golang.org/grpc/interop/client")
	cert, _ := certs.Identity()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, face := range []struct {
		name  string
		cfg   grpc.Config
		serve func(*grpc.Server) conn.Serve
		flags []string
	}{
		{"plain", grpc.Config{}, func(s *grpc.Server) conn.Serve { return s.Serve }, nil},
		{"plain, inline", grpc.Config{Inline: func(string) bool { return true }},
			func(s *grpc.Server) conn.Serve { return s.Serve }, nil},
		{"TLS", grpc.Config{}, func(s *grpc.Server) conn.Serve {
			return s.ServeTLS(&tls.Config{Certificates: []tls.Certificate{cert}})
		}, []string{"-use_tls", "-use_test_ca", "-ca_file", ca, "-server_host_override", certs.Name}},
	} {
		t.Run(face.name, func(t *testing.T) {
			host, port := hostPort(t, testService(t, face.cfg, face.serve))
			passed := 0
			for _, name := range cases {
				args := append([]string{"-server_host", host, "-server_port", port, "-test_case", name}, face.flags...)
				if out, err := run(t, judge, args...); err != nil {
					t.Errorf("%s: %v\n%s", name, err, out)
					continue
				}
				passed++
			}
			t.Logf("interop client, %s: %d of %d", face.name, passed, len(cases))
		})
	}
}

// testService serves gRPC's test service on contrib/grpc.
func testService(t *testing.T, cfg grpc.Config, serve func(*grpc.Server) conn.Serve) (addr string) {
	t.Helper()
	rt, err := conn.Start(conn.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rt.Close() })
	srv := grpc.NewServer(cfg)
	testgrpc.RegisterTestServiceServer(srv, interop.NewTestServer())
	t.Cleanup(func() { srv.Close() })
	at, err := conn.ParseAddr("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln, err := rt.Listen(at, serve(srv))
	if err != nil {
		t.Fatal(err)
	}
	return ln.Addr().String()
}

// TestStressClient: several channels and calls at once, each of gRPC's cases as
// often as it comes. Only the exit code is of use; its counts are wrong.
//
// cancel_after_begin is for the client above: it cancels, half-closes, and wants
// to be cancelled. With others beside it on a busy machine, its own transport may
// send the half-close before it hears of the cancellation, and the answer of a
// server that is quick comes first.
func TestStressClient(t *testing.T) {
	judge := tool(t, ".", "google.golang.org/grpc/interop/stress/client")
	addr := testService(t, grpc.Config{}, func(s *grpc.Server) conn.Serve { return s.Serve })
	must(t, judge, "-server_addresses", addr, "-test_duration_secs", "3",
		"-num_channels_per_server", "2", "-num_stubs_per_channel", "4", "-metrics_port", "0",
		"-test_cases", "empty_unary:10,large_unary:5,client_streaming:5,server_streaming:5,ping_pong:5,"+
			"empty_stream:5,timeout_on_sleeping_server:1,cancel_after_first_response:2,"+
			"status_code_and_message:2,custom_metadata:2")
}
