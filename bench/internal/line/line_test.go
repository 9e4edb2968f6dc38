package line

import (
	"strconv"
	"strings"
	"testing"
)

// talk plays one whole conversation and returns the server's lines.
func talk(t *testing.T, words ...string) []string {
	t.Helper()
	var out strings.Builder
	if err := Serve(strings.NewReader(strings.Join(words, "\n")+"\n"), &out, "127.0.0.1:9"); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

func TestServeAnswersEveryWord(t *testing.T) {
	got := talk(t, GC, BurnOn, BurnOn, BurnOff, "dance", Quit, GC)
	want := "listening 127.0.0.1:9|ok|ok|ok|ok|no" // nothing after quit
	if strings.Join(got, "|") != want {
		t.Fatalf("got %q, want %q", strings.Join(got, "|"), want)
	}
}

func TestServeEndsWithItsInput(t *testing.T) {
	if got := talk(t, BurnOn); len(got) != 2 {
		t.Fatalf("got %q", got)
	}
}

func TestNumbersAreNumbers(t *testing.T) {
	got := talk(t, Goroutines, CPU)
	for _, s := range got[1:] {
		if n, err := strconv.ParseInt(s, 10, 64); err != nil || n < 0 {
			t.Errorf("answer %q: %v", s, err)
		}
	}
}
