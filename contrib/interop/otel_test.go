package interop

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/stats"

	"github.com/weir-go/weir/conn"
	weirgrpc "github.com/weir-go/weir/contrib/grpc"
)

// OpenTelemetry's handler records the same of our server as of grpc-go's: spans
// in their callers' traces, their statuses, and metrics.
func TestOpenTelemetry(t *testing.T) {
	ours := telemetry(t, func(h stats.Handler, checks healthpb.HealthServer) string {
		rt, err := conn.Start(conn.Config{Loops: 1})
		if err != nil {
			t.Fatal(err)
		}
		srv := weirgrpc.NewServer(weirgrpc.Config{Stats: []stats.Handler{h}})
		healthpb.RegisterHealthServer(srv, checks)
		ln, err := rt.Listen(mustAddr(t, "127.0.0.1:0"), srv.Serve)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { srv.Close(); rt.Close() })
		return ln.Addr().String()
	})
	theirs := telemetry(t, func(h stats.Handler, checks healthpb.HealthServer) string {
		srv := grpc.NewServer(grpc.StatsHandler(h))
		healthpb.RegisterHealthServer(srv, checks)
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go srv.Serve(ln)
		t.Cleanup(srv.Stop)
		return ln.Addr().String()
	})
	if ours != theirs {
		t.Errorf("ours:\n%s\ngrpc-go's:\n%s", ours, theirs)
	}
	for _, want := range []string{"Check server Unset", "status_code=NOT_FOUND", "Watch server", "within its caller's trace", "rpc.server"} {
		if !strings.Contains(ours, want) {
			t.Errorf("%q is missing from\n%s", want, ours)
		}
	}
}

// telemetry makes calls of all kinds and returns what was recorded of them,
// without times and ports.
func telemetry(t *testing.T, serve func(stats.Handler, healthpb.HealthServer) (addr string)) string {
	t.Helper()
	ended := make(chan struct{}, 16)
	spans, reader := tracetest.NewSpanRecorder(), sdkmetric.NewManualReader()
	handler := otelgrpc.NewServerHandler(
		otelgrpc.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))),
		otelgrpc.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))),
		otelgrpc.WithPropagators(propagation.TraceContext{}))
	checks := health.NewServer()
	addr := serve(ender{handler, ended}, checks)
	tracer := sdktrace.NewTracerProvider().Tracer("test")
	ctx, root := tracer.Start(within(t), "root")
	client := otelgrpc.NewClientHandler(otelgrpc.WithTracerProvider(sdktrace.NewTracerProvider()), otelgrpc.WithPropagators(propagation.TraceContext{}))
	cc, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithStatsHandler(client))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	calls := healthpb.NewHealthClient(cc)
	calls.Check(ctx, &healthpb.HealthCheckRequest{})
	<-ended
	calls.Check(ctx, &healthpb.HealthCheckRequest{}, grpc.UseCompressor(gzip.Name))
	<-ended
	calls.Check(ctx, &healthpb.HealthCheckRequest{Service: "none"})
	<-ended
	watching, stop := context.WithCancel(ctx)
	w, err := calls.Watch(watching, &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := w.Recv(); err != nil {
			t.Fatal(err)
		}
		checks.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	}
	stop()
	<-ended
	return recorded(t, spans, reader, root.SpanContext().TraceID())
}

// ender is a handler that tells when it has recorded all of a call: the metrics
// come after the span has ended.
type ender struct {
	stats.Handler
	ended chan struct{}
}

func (e ender) HandleRPC(ctx context.Context, s stats.RPCStats) {
	e.Handler.HandleRPC(ctx, s)
	if _, ok := s.(*stats.End); ok {
		e.ended <- struct{}{}
	}
}

func recorded(t *testing.T, spans *tracetest.SpanRecorder, reader *sdkmetric.ManualReader, root trace.TraceID) string {
	t.Helper()
	var b strings.Builder
	for _, s := range spans.Ended() {
		fmt.Fprintf(&b, "%s %v %v %s", s.Name(), s.SpanKind(), s.Status().Code, attributes(s.Attributes()))
		if s.SpanContext().TraceID() == root && s.Parent().IsRemote() {
			b.WriteString(" within its caller's trace")
		}
		for _, e := range s.Events() {
			fmt.Fprintf(&b, " %s %s", e.Name, attributes(e.Attributes))
		}
		b.WriteByte('\n')
	}
	var m metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &m); err != nil {
		t.Fatal(err)
	}
	for _, scope := range m.ScopeMetrics {
		for _, x := range scope.Metrics {
			h, ok := x.Data.(metricdata.Histogram[float64])
			if !ok {
				continue
			}
			var lines []string
			for _, p := range h.DataPoints {
				lines = append(lines, fmt.Sprintf("%s %s %d times\n", x.Name, attributes(p.Attributes.ToSlice()), p.Count))
			}
			slices.Sort(lines)
			b.WriteString(strings.Join(lines, ""))
		}
	}
	return b.String()
}

func attributes(all []attribute.KeyValue) string {
	var parts []string
	for _, a := range all {
		if !strings.HasSuffix(string(a.Key), ".port") {
			parts = append(parts, fmt.Sprintf("%s=%s", a.Key, a.Value.Emit()))
		}
	}
	slices.Sort(parts)
	return "[" + strings.Join(parts, " ") + "]"
}
