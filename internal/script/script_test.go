package script

import (
	"reflect"
	"strings"
	"testing"
)

const two = `# The first case.
# Its second line.
say hello

say "two words" x
----
hello
two words

# The second.
say nothing
----
`

func TestParse(t *testing.T) {
	cases, err := parse(two)
	if err != nil || len(cases) != 2 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	first := cases[0]
	want := []Command{{3, "say", []string{"hello"}}, {5, "say", []string{"two words", "x"}}}
	if !reflect.DeepEqual(first.commands, want) {
		t.Errorf("commands %v, want %v", first.commands, want)
	}
	if first.title() != "The first case." || first.line != 3 {
		t.Errorf("title %q, line %d", first.title(), first.line)
	}
	if !reflect.DeepEqual(first.trace, []string{"hello", "two words"}) {
		t.Errorf("trace %q", first.trace)
	}
	if len(cases[1].trace) != 0 || len(cases[1].commands) != 1 {
		t.Errorf("second case: %+v", cases[1])
	}
}

// What -update writes is what stood there when nothing has changed.
func TestFormatUndoesParse(t *testing.T) {
	for _, text := range []string{two, "turn\n----\nread 5\n", ""} {
		cases, err := parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := format(cases); got != text {
			t.Errorf("got\n%s\nwant\n%s", got, text)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, text := range []string{"turn\n", "say \"open\n----\n", "turn\n----\n\nturn\n"} {
		if _, err := parse(text); err == nil {
			t.Errorf("no error for %q", text)
		}
	}
}

func TestCompare(t *testing.T) {
	lines := func(s string) []string { return strings.Fields(s) }
	for _, c := range []struct {
		want, got string
		same      bool
	}{
		{"a b c", "a b c", true},
		{"", "", true},
		{"a b c", "a x c", false},
		{"a b", "a b c", false},
		{"a b c", "a b", false},
		{"", "a", false},
	} {
		if d := compare(lines(c.want), lines(c.got)); (d == "") != c.same {
			t.Errorf("%q and %q: %q", c.want, c.got, d)
		}
	}
}

// A case that goes wrong must fail its test, and it must say where.
func TestRunPlaysEachCase(t *testing.T) {
	var played []string
	Run(t, "testdata/*.txt", func(t *testing.T, commands []Command) (trace []string) {
		for _, c := range commands {
			played = append(played, c.String())
			trace = append(trace, strings.Join(c.Args, " "))
		}
		return trace
	})
	if want := []string{"say one", "say two", "say three"}; !reflect.DeepEqual(played, want) {
		t.Errorf("played %q, want %q", played, want)
	}
}
