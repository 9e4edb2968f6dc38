package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A whole run, as small as it can be: it ends well, writes its files, and everything was done once.
func TestIdem(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not installed (Debian: apt-get install redis-server)")
	}
	home, err := rivalsFolder()
	if err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", os.DevNull, "./idem")
	build.Dir = home
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("bench/rivals cannot be built here, which its own tests would say: %s", out)
	}
	doc, rows := filepath.Join(t.TempDir(), "doc.md"), filepath.Join(t.TempDir(), "rows.json")
	var out, errs strings.Builder
	args := []string{"idem", "-rounds", "1", "-warm", "1ms", "-window", "20ms", "-cases", "unix,saga", "-doc", doc, "-json", rows}
	if code := command(args, nil, &out, &errs); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	page, err := os.ReadFile(doc)
	if err != nil || !strings.Contains(string(page), "fsyncs/op") || !strings.Contains(string(page), "unsafe") {
		t.Errorf("%v: %s", err, page)
	}
	if text, err := os.ReadFile(rows); err != nil || strings.Count(string(text), "cpu_per_op_ratio") < 9 {
		t.Errorf("%v: %s", err, text)
	}
	for _, bad := range [][]string{{"idem", "-subjects", "nobody"}, {"idem", "-source", "gnet=."}, {"idem", "-cases", "none"}} {
		if command(bad, nil, &out, &errs) == 0 {
			t.Errorf("%q was run", bad)
		}
	}
}
