package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-go/weir/bench/internal/h2c"
	"github.com/weir-go/weir/bench/internal/report"
)

// A whole run without rivals, as small as it can be: it ends well, writes its files, and has checked every message.
func TestStreamRun(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	var out, errs strings.Builder
	code := command([]string{"stream", "-quick", "-rounds", "1", "-window", "40ms", "-warm", "5ms",
		"-json", file("rows.json"), "-doc", file("doc.md")}, nil, &out, &errs)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	text, err := os.ReadFile(file("rows.json"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []report.Row
	if err := json.Unmarshal(text, &rows); err != nil {
		t.Fatal(err)
	}
	for _, want := range [][3]string{
		{"bidi-10x64", "raw", "rate"}, {"unary", "raw", "p99"}, {"fanout-1000", "topic", "rate"}, {"paced-1000", "topic-alone", "p99"},
		{"frames", "data-1024", "frame"},
	} {
		if v, ok := figure(rows, want[0], want[1], want[2]); !ok || v <= 0 {
			t.Errorf("%q: %v, %t", want, v, ok)
		}
	}
	if !strings.Contains(out.String(), "What was to be reached") || !strings.Contains(errs.String(), "measured with -rivals") {
		t.Errorf("printed %s", out.String())
	}
	doc, err := os.ReadFile(file("doc.md"))
	if err != nil || !strings.Contains(string(doc), "| weir Topic |") || !strings.Contains(string(doc), "<!-- area stream -->") {
		t.Errorf("document %v: %s", err, doc)
	}
}

// A server whose answers are not responses, but requests, as the client was not told to expect.
func TestStreamLiarsFailTheRun(t *testing.T) {
	o, err := parse([]string{"stream", "-window", "20s"}, &strings.Builder{}) // the first answer ends it
	if err != nil {
		t.Fatal(err)
	}
	b, err := newBench(o, &strings.Builder{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	all := b.talkers(map[string]string{"streams": b.self}, talkTo("raw", bidiPath, "streams"))
	j := b.ourJob(h2c.Echo, 1, 2, 64)
	if _, err := b.talk(all[0], j, -1, "cpu_per_message"); err == nil || !strings.Contains(err.Error(), "not what it must be") {
		t.Errorf("a server with wrong messages gave %v", err)
	}
}

// The base of a case is whichever rival was best in it, and each ratio is of one round.
func TestBestRivalIsTheBase(t *testing.T) {
	o, _ := parse([]string{"stream"}, &strings.Builder{})
	b, err := newBench(o, &strings.Builder{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	var all []talked
	for _, id := range []string{"grpc-chan", "grpc-prep", "grpc-direct", "topic"} {
		all = append(all, talkTo(id, "", "x"))
	}
	values := map[string][]float64{"grpc-chan": {8, 8, 8}, "grpc-prep": {4, 2, 4}, "grpc-direct": {3, 9, 5}, "topic": {1, 1, 1}}
	at := map[string]int{}
	err = b.of("fanout-1000", all, 3, "cpu_per_delivery", fanRivals, func(t talked) (*figures, error) {
		v := values[t.id][at[t.id]]
		at[t.id]++
		return &figures{values: map[string]float64{"cpu_per_delivery": v}}, nil
	})
	if err != nil || b.bases["fanout-1000"] != "grpc-prep" {
		t.Fatalf("base %q, %v", b.bases["fanout-1000"], err)
	}
	rows := b.log.Rows(report.Options{Bases: b.bases, Metrics: b.area.metrics})
	if v, ok := figure(rows, "fanout-1000", "topic", "cpu_per_delivery_ratio"); !ok || v != 0.25 {
		t.Errorf("ratio %v, %t", v, ok)
	}
	var lines []string
	for _, g := range streamTables(b, rows) {
		for _, line := range g.Rows {
			lines = append(lines, strings.Join(line, "|"))
		}
	}
	want := []string{
		"Fan-out as fast as it goes, CPU: ratio to the best pattern (1,000)|0.083|0.25|0 of 1",
		"Fan-out as fast as it goes, CPU: ratio to a channel each (1,000)|0.040|0.12|0 of 1",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("%q", lines)
	}
}

func TestLatencyOfQueuesIsNoFigure(t *testing.T) {
	r := talkResult{Result: h2c.Result{Messages: 10, Elapsed: time.Second, P50: time.Second, P99: time.Second}}
	for publish, want := range map[int]bool{-1: true, 0: false, 50: true} {
		if _, has := r.figures("cpu_per_delivery", publish).values["p99"]; has != want {
			t.Errorf("publish %d: p99 %t", publish, has)
		}
	}
}
