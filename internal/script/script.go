// Package script runs golden scripts: files of commands with the trace that
// they must produce. It is for tests only.
//
//	# A peer that half-closes still gets its answer.
//	peer write hello
//	peer shutdown write
//	turn
//	----
//	read 5
//	wrote 5
//	closed EOF
//
// A file holds one case or several, each with its comment, its commands, a line
// of four dashes, and the trace; an empty line ends a trace. What a command
// means is the caller's. `go test -update` writes what came out into the files,
// for git diff to show.
package script

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the traces of golden scripts")

// Command is one line of a script in words. A word in double quotes is read as
// in Go and may hold spaces.
type Command struct {
	Line int // in its file, from 1
	Name string
	Args []string
}

// String returns the command as it could be written.
func (c Command) String() string { return strings.Join(append([]string{c.Name}, c.Args...), " ") }

// A Player plays the commands of one case and returns their trace, one line an
// entry. It reports commands that it does not know with t.Fatal.
type Player func(t *testing.T, commands []Command) (trace []string)

// Run plays each case of the files that match the pattern, as a subtest named
// after its file and the line of its first command. It fails when there are no
// files.
func Run(t *testing.T, pattern string, play Player) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("script: no files match %s (%v)", pattern, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
		t.Run(name, func(t *testing.T) { runFile(t, file, play) })
	}
}

func runFile(t *testing.T, file string, play Player) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	cases, err := parse(string(text))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for i := range cases {
		c := &cases[i]
		t.Run(strconv.Itoa(c.line), func(t *testing.T) {
			got := play(t, c.commands)
			if *update {
				c.trace = got
			} else if d := compare(c.trace, got); d != "" {
				t.Errorf("%s:%d: %s\n%s", file, c.line, c.title(), d)
			}
		})
	}
	if *update && !t.Failed() {
		if err := os.WriteFile(file, []byte(format(cases)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// scene is one case of a file: its text up to the dashes, and its trace.
type scene struct {
	head     []string // comments, empty lines and commands, as they stand
	line     int      // of the first command
	commands []Command
	trace    []string
}

// title is the first line of the comment.
func (s *scene) title() string {
	for _, h := range s.head {
		if rest, ok := strings.CutPrefix(h, "# "); ok {
			return rest
		}
	}
	return ""
}

const dashes = "----"

func parse(text string) (all []scene, err error) {
	var s scene
	inTrace := false
	end := func() {
		if inTrace {
			all = append(all, s)
			s, inTrace = scene{}, false
		}
	}
	for i, line := range strings.Split(text, "\n") {
		switch {
		case line == dashes && !inTrace:
			inTrace = true
		case inTrace && line == "":
			end()
		case inTrace:
			s.trace = append(s.trace, line)
		default:
			if err := s.add(i+1, line); err != nil {
				return nil, err
			}
		}
	}
	end()
	if len(s.commands) > 0 {
		return nil, fmt.Errorf("line %d: the last case has no %s", s.line, dashes)
	}
	return all, nil
}

// add takes a line of the head.
func (s *scene) add(n int, line string) error {
	if line == "" && len(s.head) == 0 {
		return nil // between cases
	}
	s.head = append(s.head, line)
	if line == "" || line[0] == '#' {
		return nil
	}
	words, err := split(line)
	if err != nil {
		return fmt.Errorf("line %d: %w", n, err)
	}
	if len(words) == 0 {
		return nil
	}
	if s.line == 0 {
		s.line = n
	}
	s.commands = append(s.commands, Command{Line: n, Name: words[0], Args: words[1:]})
	return nil
}

// split divides a line into words.
func split(line string) (words []string, err error) {
	for line = strings.TrimLeft(line, " \t"); line != ""; line = strings.TrimLeft(line, " \t") {
		if line[0] == '"' {
			quoted, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, fmt.Errorf("bad quotes: %s", line)
			}
			word, _ := strconv.Unquote(quoted)
			words, line = append(words, word), line[len(quoted):]
			continue
		}
		end := strings.IndexAny(line, " \t")
		if end < 0 {
			end = len(line)
		}
		words, line = append(words, line[:end]), line[end:]
	}
	return words, nil
}

func format(cases []scene) string {
	var b strings.Builder
	for i, s := range cases {
		if i > 0 {
			b.WriteByte('\n')
		}
		for _, line := range s.head {
			b.WriteString(line + "\n")
		}
		b.WriteString(dashes + "\n")
		for _, line := range s.trace {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// compare returns both traces side by side from the first line that differs,
// and "" when none does.
func compare(want, got []string) string {
	for i := range max(len(want), len(got)) {
		if i < len(want) && i < len(got) && want[i] == got[i] {
			continue
		}
		return fmt.Sprintf("after %d lines that agree\nwant:\n\t%s\ngot:\n\t%s\nall of it:\n\t%s",
			i, strings.Join(want[min(i, len(want)):], "\n\t"), strings.Join(got[min(i, len(got)):], "\n\t"),
			strings.Join(got, "\n\t"))
	}
	return ""
}
