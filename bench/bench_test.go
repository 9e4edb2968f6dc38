package main

import (
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-go/weir/bench/internal/line"
	"github.com/weir-go/weir/bench/internal/report"
)

// TestMain lets the test binary be the benchmark's other processes too, as the real one is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && slices.Contains([]string{"serve", "drive", "probe", "burn", "streams", "bounded", "talk"}, os.Args[1]) {
		os.Exit(command(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	if len(os.Args) > 1 && os.Args[1] == "lie" {
		lie()
		return
	}
	flag.Parse()
	// Under the race detector each of the many processes would wait a second before it ends.
	os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0")
	os.Exit(m.Run())
}

// lie is a server that turns one bit of the hundredth message it echoes.
func lie() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		c, err := l.Accept()
		b := make([]byte, 64)
		for n := 1; err == nil; n++ {
			if _, err = io.ReadFull(c, b); n == 100 {
				b[63] ^= 4
			}
			if err == nil {
				_, err = c.Write(b)
			}
		}
	}()
	line.Serve(os.Stdin, os.Stdout, l.Addr().String())
}

func TestParse(t *testing.T) {
	o, err := parse(strings.Fields("-quick echo -rounds 7 -shapes 4x64x1,8x1024x2 -subjects std,callback -cases idle -json x.json"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if o.area != echoArea || !o.quick || o.rounds != 7 || o.json != "x.json" || o.window != 300*time.Millisecond {
		t.Errorf("parsed %+v", o)
	}
	if want := []shape{{4, 64, 1}, {8, 1024, 2}}; !slices.Equal(o.shapes, want) {
		t.Errorf("shapes %v, want %v", o.shapes, want)
	}
	if !slices.Equal(o.subjects, []string{"std", "callback"}) || !slices.Equal(o.cases, []string{"idle"}) {
		t.Errorf("subjects %v, cases %v", o.subjects, o.cases)
	}
}

func TestParseWithoutAWordIsEcho(t *testing.T) {
	o, err := parse(nil, io.Discard)
	if err != nil || o.area != echoArea || o.enough(3) != 5 || o.window != 2*time.Second || o.warm != 300*time.Millisecond {
		t.Errorf("parsed %+v, %v", o, err)
	}
}

func TestRoundsOfAQuickRun(t *testing.T) {
	for _, c := range []struct {
		o              options
		subjects, want int
	}{
		{options{}, 8, 5}, {options{quick: true}, 1, 5}, {options{quick: true}, 3, 5}, {options{quick: true}, 5, 3},
		{options{quick: true}, 20, 1}, {options{quick: true, rounds: 9}, 20, 9},
	} {
		if got := c.o.enough(c.subjects); got != c.want {
			t.Errorf("%+v with %d subjects: %d rounds, want %d", c.o, c.subjects, got, c.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for args, says := range map[string]string{
		"bake":                   "no area is called \"bake\"; there is: echo",
		"echo timer":             "one area at a time",
		"-shapes 4x64":           "CONNSxBYTESxPIPELINE",
		"-shapes 0x64x1":         "CONNSxBYTESxPIPELINE",
		"-rounds -1":             "count upward",
		"-cases idle,dance":      "no case \"dance\"; there is: shapes, idle",
		"-source gnet":           "NAME=FOLDER",
		"-source gnet=/no/where": "no such file",
		"-wrong":                 "not defined",
	} {
		if _, err := parse(strings.Fields(args), io.Discard); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("parse %q: %v, want %q in it", args, err, says)
		}
	}
}

func TestHelpNamesTheAreas(t *testing.T) {
	var says strings.Builder
	if code := command([]string{"-h"}, nil, io.Discard, &says); code != 0 || !strings.Contains(says.String(), "echo ") {
		t.Errorf("code %d, %q", code, says.String())
	}
}

func TestChosenSubjects(t *testing.T) {
	b := &bench{options: &options{subjects: []string{"blocking", "std"}}}
	got, err := b.chosen(b.faces())
	if err != nil || ids(got) != "blocking, std" {
		t.Errorf("chosen %q, %v", ids(got), err)
	}
	b.subjects = []string{"nobody"}
	if _, err := b.chosen(b.faces()); err == nil || !strings.Contains(err.Error(), "std, callback, blocking") {
		t.Errorf("chose nobody: %v", err)
	}
}

func TestParseCounts(t *testing.T) {
	calls, err := parseCounts([]byte(`% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 52.31    0.041217           2       200       100 read
 40.00    0.031000           2       100           write
  7.00    0.001000           2        10           epoll_pwait
  0.69    0.000100           2        20           futex
------ ----------- ----------- --------- --------- ----------------
100.00    0.073317           2       330       100 total
`))
	if err != nil {
		t.Fatal(err)
	}
	got := perRequest(calls, 100)
	want := map[string]float64{"reads_per_request": 2, "writes_per_request": 1, "waits_per_request": 0.1,
		"other_calls_per_request": 0.2, "syscalls_per_request": 3.3}
	for metric, v := range want {
		if d := got[metric] - v; d > 1e-9 || d < -1e-9 {
			t.Errorf("%s = %v, want %v", metric, got[metric], v)
		}
	}
	if _, err := parseCounts([]byte("strace: Operation not permitted\n")); err == nil {
		t.Error("no table gives no error")
	}
}

func TestDocumentKeepsOtherParts(t *testing.T) {
	page := replacePart("", "echo", "old")
	page = replacePart(page, "timer", "ticks")
	page = replacePart(page, "echo", "new")
	want := documentHead + "\n<!-- area echo -->\n\nnew\n\n<!-- end of echo -->\n\n<!-- area timer -->\n\nticks\n\n<!-- end of timer -->\n"
	if page != want {
		t.Errorf("got\n%s\nwant\n%s", page, want)
	}
}

// A whole run, as small as it can be: it has to end well, write each file and have checked what came back.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	var out, errs strings.Builder
	code := command([]string{"echo", "-quick", "-subjects", "std", "-shapes", "2x64x1,2x512x4", "-cases", "shapes,churn,sparse,burnt",
		"-rounds", "2", "-window", "50ms", "-warm", "5ms",
		"-json", file("rows.json"), "-md", file("t.md"), "-doc", file("doc.md")}, nil, &out, &errs)
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
	for _, want := range []report.Row{
		{Case: "2x64x1", Metric: "rate"}, {Case: "2x512x4", Metric: "p99"}, {Case: "churn", Metric: "conns_per_second"}, {Case: "sparse-300", Metric: "p99"}, {Case: "burnt", Metric: "p99.9"},
	} {
		if !slices.ContainsFunc(rows, func(r report.Row) bool {
			return r.Case == want.Case && r.Metric == want.Metric && r.Subject == "std" && r.Bench == "echo" && r.Rounds == 2 && r.Median > 0
		}) {
			t.Errorf("no %s of %s in %s", want.Metric, want.Case, text)
		}
	}
	if !strings.Contains(out.String(), "2 connections × 512 B × 4") || !strings.Contains(out.String(), "measurements were disturbed") {
		t.Errorf("printed %s", out.String())
	}
	doc, err := os.ReadFile(file("doc.md"))
	if err != nil || !strings.Contains(string(doc), "| package net |") {
		t.Errorf("document %v: %s", err, doc)
	}
}

// A server that answers wrongly ends the run, whatever the figures.
func TestLiarsFailTheRun(t *testing.T) {
	o, err := parse([]string{"-window", "30s"}, io.Discard) // the lie ends it
	if err != nil {
		t.Fatal(err)
	}
	b, err := newBench(o, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	liar := subject{id: "liar", command: []string{b.self, "lie"}}
	j := job{Mode: "echo", Conns: 1, Size: 64, Pipeline: 1, Window: b.window}
	if _, err := b.load(liar, j, b.onOneCore()); !errors.Is(err, errBad) || !strings.Contains(err.Error(), "1 got wrong bytes") {
		t.Errorf("a server that turned a bit gave %v", err)
	}
}

func TestVerdict(t *testing.T) {
	for r, says := range map[result]string{
		{Counted: 9, Errors: 1, Why: "reset"}:    "1 connections failed, 0 got wrong bytes: reset",
		{Counted: 9, Wrong: 2, Why: "at byte 7"}: "0 connections failed, 2 got wrong bytes: at byte 7",
		{}:                                       "no request was answered",
		{Counted: 9, P50: time.Second}:           "",
	} {
		err := r.verdict()
		if says == "" && err != nil || says != "" && (!errors.Is(err, errBad) || !strings.Contains(err.Error(), says)) {
			t.Errorf("%+v: %v, want %q", r, err, says)
		}
	}
}
