package metrics

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/stretchr/testify/require"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/drive"
	"github.com/weir-go/weir/internal/echo"
)

var update = flag.Bool("update", false, "write the golden files anew")

// fixed is a Source that always says the same.
type fixed conn.Stats

func (f *fixed) Stats() conn.Stats { return conn.Stats(*f) }

// number gives each integer of the struct v points to another value, from n on,
// and returns the names in that order: a counter added to Stats later is found
// missing from the scrape.
func number(v any, n int64) (names []string) {
	s := reflect.ValueOf(v).Elem()
	for i := range s.NumField() {
		switch f := s.Field(i); f.Kind() {
		case reflect.Int, reflect.Int64:
			f.SetInt(n + int64(len(names)))
		case reflect.Uint64:
			f.SetUint(uint64(n) + uint64(len(names)))
		default:
			continue
		}
		names = append(names, s.Type().Field(i).Name)
	}
	return names
}

// numbered has two loops and a different number in every field.
func numbered() *fixed {
	s := new(fixed)
	number(s, 1)
	for i := range int64(2) {
		var l conn.LoopStats
		number(&l, 100*(i+1))
		l.TurnTime.Buckets[0], l.TurnTime.Buckets[12], l.TurnTime.Buckets[31] = 1, 2, 4
		l.TurnTime.Count, l.TurnTime.Sum = 7, 3_000_000_000
		l.TurnEvents.Buckets[0], l.TurnEvents.Buckets[7] = 5, 1
		l.TurnEvents.Count, l.TurnEvents.Sum = 6, 100
		s.Loops = append(s.Loops, l)
	}
	return s
}

// scrape returns what a Prometheus server would read.
func scrape(t *testing.T, c prometheus.Collector) string {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(c))
	families, err := registry.Gather()
	require.NoError(t, err)
	var text bytes.Buffer
	for _, f := range families {
		_, err := expfmt.MetricFamilyToText(&text, f)
		require.NoError(t, err)
	}
	return text.String()
}

// The names, help texts, labels and buckets are an interface: dashboards and
// alerts hang on them. Run with -update after a change that is meant.
func TestScrapeIsAsAgreed(t *testing.T) {
	const golden = "testdata/scrape.txt"
	got := scrape(t, NewRuntime("edge", numbered()))
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

func TestEveryFigureIsShown(t *testing.T) {
	text := scrape(t, NewRuntime("edge", numbered()))
	for i, field := range number(new(fixed), 1) {
		require.Regexp(t, fmt.Sprintf(`(?m) %d$`, 1+i), text, "conn.Stats.%s is not shown", field)
	}
	for i, field := range number(new(conn.LoopStats), 100) {
		require.Regexp(t, fmt.Sprintf(`(?m)loop="0".* %d$`, 100+i), text, "conn.LoopStats.%s is not shown", field)
		require.Regexp(t, fmt.Sprintf(`(?m)loop="1".* %d$`, 200+i), text, "conn.LoopStats.%s is not shown", field)
	}
}

func TestNamesFollowTheConventions(t *testing.T) {
	problems, err := testutil.CollectAndLint(NewRuntime("edge", numbered()))
	require.NoError(t, err)
	require.Empty(t, problems)
}

func TestPromtoolAccepts(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed")
	}
	check := exec.Command(promtool, "check", "metrics")
	check.Stdin = strings.NewReader(scrape(t, NewRuntime("edge", numbered())))
	out, err := check.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Empty(t, string(out))
}

func TestTwoRuntimesInOneRegistry(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(NewRuntime("a", numbered())))
	require.NoError(t, registry.Register(NewRuntime("b", numbered())))
	require.Error(t, registry.Register(NewRuntime("a", numbered())))
	_, err := registry.Gather()
	require.NoError(t, err)
}

func TestHandlerIsAWholePage(t *testing.T) {
	page := httptest.NewRecorder()
	Handler(NewRuntime("a", numbered()), NewRuntime("b", numbered())).
		ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	require.Equal(t, http.StatusOK, page.Code)
	for _, want := range []string{"\ngo_goroutines ", `\nweir_connections{runtime="a"} 1`, `\nweir_connections{runtime="b"} 1`} {
		require.Regexp(t, want, page.Body.String())
	}
}

// A count that is lower than a bucket would make Prometheus' rates negative.
func TestHistogramAddsUpWhileItIsBeingWritten(t *testing.T) {
	var torn conn.Histogram
	torn.Buckets[3], torn.Buckets[20], torn.Buckets[31] = 10, 20, 30
	torn.Count = 1 // read before the buckets were
	d := prometheus.NewDesc("x", "x", nil, nil)
	var m dto.Metric
	require.NoError(t, turnTime.histogram(d, &torn).Write(&m))
	h := m.GetHistogram()
	require.Equal(t, uint64(60), h.GetSampleCount())
	buckets := h.GetBucket()
	require.Len(t, buckets, 21)
	require.Equal(t, uint64(10), buckets[0].GetCumulativeCount())
	require.Equal(t, uint64(30), buckets[20].GetCumulativeCount(), "what is above the last bound is in +Inf only")
	require.InEpsilon(t, 1.023e-6, buckets[0].GetUpperBound(), 1e-9)
	require.InEpsilon(t, float64(1<<30-1)*1e-9, buckets[20].GetUpperBound(), 1e-9)
	require.False(t, math.IsInf(buckets[20].GetUpperBound(), 0))
}

// Scrapes go on while loops count. Meant for -race.
func TestScrapeUnderLoad(t *testing.T) {
	server, err := echo.Serve(echo.Config{Face: echo.Callback, At: conn.TCP(netip.MustParseAddrPort("127.0.0.1:0"))})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	client, err := conn.Start(conn.Config{Loops: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })

	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(NewRuntime("server", server.Runtime()), NewRuntime("client", client))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := drive.Run(ctx, client, drive.Config{To: server.Addr(), Conns: 16, Size: 64, For: time.Minute})
		done <- err
	}()

	read := func() (bytes float64) {
		families, err := registry.Gather()
		require.NoError(t, err)
		for _, f := range families {
			if f.GetName() == "weir_read_bytes_total" {
				for _, m := range f.GetMetric() {
					bytes += m.GetCounter().GetValue()
				}
			}
		}
		return bytes
	}
	last, rises := read(), 0
	for rises < 20 { // each scrape that finds more than the one before
		if now := read(); now > last {
			last, rises = now, rises+1
		}
	}
	stop()
	require.NoError(t, <-done)
}

func ExampleNewRuntime() {
	rt, err := conn.Start(conn.Config{Loops: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rt.Close()
	registry := prometheus.NewRegistry()
	registry.MustRegister(NewRuntime("edge", rt))
	n, _ := testutil.GatherAndCount(registry, "weir_connections")
	fmt.Println(n)
	// Output: 1
}
