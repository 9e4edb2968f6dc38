package judges

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// request is weir.echo.v1.Message{text: "hello"} behind gRPC's prefix.
const request = "\x00\x00\x00\x00\x07\n\x05hello"

// body is a file with the request.
func body(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "request")
	if err := os.WriteFile(file, []byte(request), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestNghttp looks at the frames of one call with another library's eyes.
func TestNghttp(t *testing.T) {
	notUnderRace(t)
	judge := installed(t, "nghttp")
	out := must(t, judge, "-v", "-d", body(t), "-H", "content-type: application/grpc", "-H", "te: trailers",
		"http://"+echo(t)+"/weir.echo.v1.Echo/Unary")
	for _, want := range []string{
		`recv \(stream_id=\d+\) :status: 200`,
		`recv \(stream_id=\d+\) content-type: application/grpc`,
		`recv DATA frame <length=12, flags=0x00`,
		`recv \(stream_id=\d+\) grpc-status: 0`,
		`recv HEADERS frame <length=\d+, flags=0x05`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
}

// TestH2load: many streams of several connections at once; all are answered.
func TestH2load(t *testing.T) {
	notUnderRace(t)
	judge := installed(t, "h2load")
	out := must(t, judge, "-n", "20000", "-c", "10", "-m", "50", "-t", "1", "-d", body(t),
		"-H", "content-type: application/grpc", "-H", "te: trailers", "http://"+echo(t)+"/weir.echo.v1.Echo/Unary")
	contains(t, out, "20000 total, 20000 started, 20000 done, 20000 succeeded, 0 failed, 0 errored, 0 timeout")
	contains(t, out, "status codes: 20000 2xx, 0 3xx, 0 4xx, 0 5xx")
	// Each answer is the request, 12 bytes.
	contains(t, out, "(240000) data")
}

// TestGhz: every call of each type ends with OK, and every message has come.
func TestGhz(t *testing.T) {
	judge := tool(t, "ghz", "github.com/bojand/ghz/cmd/ghz")
	addr := echo(t)
	for _, call := range []struct {
		method string
		data   string
		n      int
	}{
		{"Unary", `{"text":"hello"}`, 5000},
		{"Push", `{"message":{"text":"hello"},"count":20}`, 1000},
		{"Collect", `[{"text":"a"},{"text":"b"},{"text":"c"}]`, 1000},
		{"Bidi", `[{"text":"a"},{"text":"b"},{"text":"c"}]`, 1000},
	} {
		out := must(t, judge, "--insecure", "--call", "weir.echo.v1.Echo/"+call.method, "-d", call.data,
			"-n", strconv.Itoa(call.n), "-c", "50", "--connections", "5", "-O", "json", addr)
		var report struct {
			Count    int            `json:"count"`
			Statuses map[string]int `json:"statusCodeDistribution"`
			Errors   map[string]int `json:"errorDistribution"`
		}
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if report.Count != call.n || report.Statuses["OK"] != call.n || len(report.Errors) > 0 {
			t.Errorf("%s: %d calls, statuses %v, errors %v", call.method, report.Count, report.Statuses, report.Errors)
		}
	}
}
