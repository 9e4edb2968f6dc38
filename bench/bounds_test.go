package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A whole run, as small as it can be: it ends well, nobody is refused, and what has bounds is compared with what has
// none.
func TestBounds(t *testing.T) {
	rows := filepath.Join(t.TempDir(), "rows.json")
	var out, errs strings.Builder
	args := []string{"bounds", "-rounds", "1", "-warm", "5ms", "-window", "200ms", "-cases", "churn,bidi", "-subjects", "off,on", "-json", rows}
	if code := command(args, nil, &out, &errs); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	text, err := os.ReadFile(rows)
	if err != nil || strings.Count(string(text), "conns_per_second_ratio") != 2 || strings.Count(string(text), `"rate_ratio"`) != 2 {
		t.Errorf("%v: %s", err, text)
	}
	for _, bad := range [][]string{{"bounds", "-subjects", "nobody"}, {"bounds", "-cases", "none"}} {
		if command(bad, nil, &out, &errs) == 0 {
			t.Errorf("%q was run", bad)
		}
	}
}
