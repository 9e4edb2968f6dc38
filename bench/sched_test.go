package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A whole run, as small as it can be: it ends well and writes its files.
func TestSched(t *testing.T) {
	home, err := rivalsFolder()
	if err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", os.DevNull, "./sched")
	build.Dir = home
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("bench/rivals cannot be built here, which its own tests would say: %s", out)
	}
	doc, rows := filepath.Join(t.TempDir(), "doc.md"), filepath.Join(t.TempDir(), "rows.json")
	var out, errs strings.Builder
	args := []string{"sched", "-quick", "-rounds", "1", "-warm", "1ms", "-window", "60ms", "-cases", "pending,drain,intervals",
		"-subjects", "std,weir", "-doc", doc, "-json", rows}
	if code := command(args, nil, &out, &errs); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	page, err := os.ReadFile(doc)
	for _, want := range []string{"What was to be reached", "at once ns", "CPU ns/fire", "B/pending", "missed %"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("%v: %q is not in %s", err, want, page)
		}
	}
	if text, err := os.ReadFile(rows); err != nil || strings.Count(string(text), "at_once_ratio") < 2 {
		t.Errorf("%v: %s", err, text)
	}
	for _, bad := range [][]string{{"sched", "-subjects", "nobody"}, {"sched", "-source", "gnet=."}, {"sched", "-cases", "none"}} {
		if command(bad, nil, &out, &errs) == 0 {
			t.Errorf("%q was run", bad)
		}
	}
}
