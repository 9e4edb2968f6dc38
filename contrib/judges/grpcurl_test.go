package judges

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

const grpcurl = "github.com/fullstorydev/grpcurl/cmd/grpcurl"

// TestGrpcurl uses the server as a person would who has no .proto file.
func TestGrpcurl(t *testing.T) {
	judge := tool(t, ".", grpcurl)
	addr := echo(t)
	ask := func(args ...string) string { return must(t, judge, append([]string{"-plaintext"}, args...)...) }

	services := strings.Fields(ask(addr, "list"))
	if want := []string{"grpc.health.v1.Health", "weir.echo.v1.Clock", "weir.echo.v1.Echo"}; !slices.Equal(services, want) {
		t.Errorf("list: %q", services)
	}
	contains(t, ask(addr, "list", "weir.echo.v1.Echo"), "weir.echo.v1.Echo.Bidi")
	described := ask(addr, "describe")
	for _, want := range []string{
		"rpc Unary ( .weir.echo.v1.Message ) returns ( .weir.echo.v1.Message );",
		"rpc Push ( .weir.echo.v1.PushRequest ) returns ( stream .weir.echo.v1.Message );",
		"rpc Collect ( stream .weir.echo.v1.Message ) returns ( .weir.echo.v1.Summary );",
		"rpc Bidi ( stream .weir.echo.v1.Message ) returns ( stream .weir.echo.v1.Message );",
		"rpc Subscribe ( .weir.echo.v1.SubscribeRequest ) returns ( stream .weir.echo.v1.Tick );",
		"rpc Watch ( .grpc.health.v1.HealthCheckRequest ) returns ( stream .grpc.health.v1.HealthCheckResponse );",
	} {
		contains(t, described, want)
	}
	// A type of an imported file.
	contains(t, ask(addr, "describe", "weir.echo.v1.Tick"), ".google.protobuf.Timestamp due = 2;")
	contains(t, ask(addr, "describe", "google.protobuf.Timestamp"), "int32 nanos = 2;")

	for _, call := range []struct{ method, requests, answers string }{
		{"weir.echo.v1.Echo/Unary", `{"text":"hello"}`, `{"text":"hello"}`},
		{"weir.echo.v1.Echo/Push", `{"message":{"text":"a"},"count":3}`, `{"text":"a"}{"text":"a"}{"text":"a"}`},
		{"weir.echo.v1.Echo/Collect", `{"text":"a"}{"text":"bc"}`, `{"messages":"2","bytes":"3"}`},
		{"weir.echo.v1.Echo/Bidi", `{"text":"a"}{"body":"AQI="}`, `{"text":"a"}{"body":"AQI="}`},
		{"grpc.health.v1.Health/Check", `{"service":"weir.echo.v1.Clock"}`, `{"status":"SERVING"}`},
	} {
		got := strings.Join(strings.Fields(ask("-d", call.requests, addr, call.method)), "")
		if got != call.answers {
			t.Errorf("%s: %s, want %s", call.method, got, call.answers)
		}
	}
	// Errors arrive as such.
	out, err := run(t, judge, "-plaintext", "-d", `{"count":2000000}`, addr, "weir.echo.v1.Echo/Push")
	if err == nil {
		t.Error("too large a count is accepted")
	}
	contains(t, out, "Code: InvalidArgument")
	out, _ = run(t, judge, "-plaintext", "-d", `{"service":"x"}`, addr, "grpc.health.v1.Health/Check")
	contains(t, out, "Code: NotFound")
}

// TestGrpcurlHearsTheClock: ticks follow each other, on full seconds.
func TestGrpcurlHearsTheClock(t *testing.T) {
	judge := tool(t, ".", grpcurl)
	cmd := command(t, judge, "-plaintext", echo(t), "weir.echo.v1.Clock/Subscribe")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Kill() // the clock does not end
		cmd.Wait()
	}()
	ticks := json.NewDecoder(out)
	last := uint64(0)
	for range 3 {
		var tick struct {
			Number, Skipped uint64 `json:",string"`
			Due             string
		}
		if err := ticks.Decode(&tick); err != nil {
			t.Fatal(err)
		}
		if tick.Due == "" || strings.Contains(tick.Due, ".") {
			t.Errorf("due at %q, which is no full second", tick.Due)
		}
		if last != 0 && tick.Number != last+1+tick.Skipped {
			t.Errorf("tick %d follows %d, %d skipped", tick.Number, last, tick.Skipped)
		}
		last = tick.Number
	}
}
