package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir-go/weir/bench/internal/lateness"
	"github.com/weir-go/weir/bench/internal/life"
	"github.com/weir-go/weir/bench/internal/report"
)

// timerBench is a bench of the area timer that measures as little as it can.
func timerBench(t *testing.T, args ...string) *bench {
	t.Helper()
	o, err := parse(append([]string{"timer", "-warm", "1ms", "-window", "10ms", "-rounds", "2"}, args...), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	b, err := newBench(o, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	b.rounds = b.enough(1)
	return b
}

// Each kind of measurement in processes of its own, as small as it can be, up to the document.
func TestTimerRun(t *testing.T) {
	doc := filepath.Join(t.TempDir(), "doc.md")
	if err := os.WriteFile(doc, []byte(replacePart("", "echo", "kept")), 0o644); err != nil {
		t.Fatal(err)
	}
	b := timerBench(t, "-doc", doc)
	run := func(name string, some []string, one func(subject) (*figures, error)) {
		t.Helper()
		if err := b.interleave(name, b.called(some...), 1, one); err != nil {
			t.Fatal(err)
		}
	}
	run("heap-1000-random", []string{"std", "heap", "container"}, func(s subject) (*figures, error) {
		return b.life(s, heapJob{N: 1000, Order: life.Random, Enough: 1})
	})
	run("clock-1", []string{"std", "clock"}, func(s subject) (*figures, error) {
		return b.pairs(s, life.PairJob{Pending: 100, Goroutines: 1, Window: time.Millisecond})
	})
	for _, l := range tickLoads {
		if err := b.tick(tickCase{l, time.Millisecond}, []string{"std", "exact"}, b.window); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.publish(io.Discard); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"<!-- area echo -->\n\nkept\n", "![Lateness of a tick every 1 ms](doc-timer-1ms.svg)",
		"| Heap, set: ratio (1,000) |", "| Clock, set and stop at once: ratio (1 goroutine) |", "| Ticker, idle, Exact, p99 µs (1ms) |",
		"p99.9 of Exact with a Spare: ratio to package time without (1ms) |", "unreported, % (all cases) | 0.00 | 0.00 | yes |",
		"#### Lateness and processor time by precision, idle", "#### Ticks of 1 ms, the same work on a spare.Pool",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("no %q in the document", want)
		}
	}
	if t.Failed() {
		t.Logf("%s", page)
	}
}

// Which cases run, and how long.
func TestTickerPlan(t *testing.T) {
	for _, c := range []struct {
		args     string
		of       tickCase
		subjects int
		window   time.Duration
	}{
		{"-window 4s -rounds 5", tickCase{idle, time.Millisecond}, 5, 4 * time.Second},
		{"-window 4s -rounds 5", tickCase{burnt, 10 * time.Millisecond}, 4, 4 * time.Second},
		{"-window 4s -rounds 5", tickCase{inside, 100 * time.Millisecond}, 3, 4 * time.Second},
		{"-window 4s -rounds 5", tickCase{burnt, 100 * time.Millisecond}, 3, 12 * time.Second}, // 600 ticks in 5 rounds
		{"-window 4s -rounds 7", tickCase{idle, 100 * time.Millisecond}, 4, 8600 * time.Millisecond},
		{"-window 4s -cases ticker", tickCase{idle, 100 * time.Millisecond}, 4, 4 * time.Second},
		{"-window 4s -rounds 5 -cases article", tickCase{idle, 100 * time.Millisecond}, 3, 12 * time.Second},
		{"-cases article", tickCase{idle, time.Millisecond}, 0, 0},
		{"-cases heap", tickCase{idle, time.Millisecond}, 0, 0},
		{"-quick -window 1s", tickCase{idle, 100 * time.Millisecond}, 4, time.Second},
		{"-quick -window 1s", tickCase{idle, 10 * time.Millisecond}, 4, time.Second},
		{"-quick -window 1s", tickCase{burnt, 10 * time.Millisecond}, 3, time.Second},
		{"-quick -window 1s -cases article", tickCase{idle, 100 * time.Millisecond}, 3, time.Second},
		{"-quick -window 1s -cases article", tickCase{spare, 10 * time.Millisecond}, 0, 0},
		{"-quick -window 1s", tickCase{burnt, 100 * time.Millisecond}, 3, time.Second},
		{"-quick -window 1s", tickCase{spare, 100 * time.Millisecond}, 0, 0},
	} {
		b := timerBench(t, strings.Fields(c.args)...)
		if subjects, window := b.plan(c.of); len(subjects) != c.subjects || window != c.window {
			t.Errorf("%s: %s has %q, %v; want %d subjects, %v", c.args, c.of.id(), subjects, window, c.subjects, c.window)
		}
	}
}

func TestPool(t *testing.T) {
	p := pool{late: [][]time.Duration{{3000, 1000}, {2000}}, points: 5, missed: 2}
	p.add(pool{late: [][]time.Duration{{10000}}, points: 3, missed: 2, unreported: 2})
	v := p.values()
	want := map[string]float64{"mean": 4, "p50": 2, "p99": 10, "p99.9": 10, "max": 10, "missed": 50, "unreported": 25}
	for metric, w := range want {
		if v[metric] != w {
			t.Errorf("%s = %v, want %v", metric, v[metric], w)
		}
	}
}

// The remedy is measured against doing nothing: a ratio across two cases.
func TestGoals(t *testing.T) {
	rows := []report.Row{
		{Case: "inside-1ms", Subject: "std", Metric: "p99.9", Median: 60000},
		{Case: "spare-1ms", Subject: "exact", Metric: "p99.9", Median: 3000},
		{Case: "spare-1ms", Subject: "fine", Metric: "p99.9", Median: 12000},
		{Case: "core-1ms", Subject: "exact", Metric: "p99.9", Median: 600},
		{Case: "heap-1000-random", Subject: "heap", Metric: "stop_ratio", Median: 0.19},
		{Case: "heap-100000-random", Subject: "heap", Metric: "stop_ratio", Median: 0.21},
		{Case: "idle-1ms", Subject: "exact", Metric: "off_grid", Median: 0, Max: 1},
	}
	text := new(bench).goals(rows).Markdown(2)
	for _, want := range []string{
		"| Ticker, burnt inside, p99.9 of Exact with a Spare: ratio to package time without (1ms) | 0.10 | 0.050 | yes |",
		"| Ticker, burnt inside, p99.9 of Fine with a Spare: ratio to package time without (1ms) | 0.10 | 0.20 | 0 of 1 |",
		"| Ticker, burnt inside, p99.9 of Exact with a Spare and a free core: ratio to package time without (1ms) | 0.10 | 0.010 | yes |",
		"| Heap, stop: ratio (1,000 / 100,000) | 0.20 | 0.19 / 0.21 | 1 of 2 |",
		"| Ticker of weir, due time off start + n × period, ns (all cases) | 0.00 | 1.00 | 0 of 1 |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestTimerRefuses(t *testing.T) {
	for args, says := range map[string]string{
		"-subjects callback":           "no subject is called \"callback\"",
		"-source gnet=" + os.TempDir(): "no rival of that name takes part in timer",
	} {
		if err := measureTimer(timerBench(t, strings.Fields(args)...)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", args, err, says)
		}
	}
	b := timerBench(t)
	_, err := b.ask(b.inProbe("ticker"), lateness.Job{Ticker: "sundial", Period: 1, Window: 1}, new(lateness.Result), 0)
	if err == nil || !strings.Contains(err.Error(), "no ticker is called") {
		t.Errorf("a probe that failed gave %v", err)
	}
	if err := probe([]string{"nonsense", "{}"}, nil, io.Discard); err == nil {
		t.Error("a probe of nonsense ran")
	}
}
