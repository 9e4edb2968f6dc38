package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// options is what the command line says.
type options struct {
	area     *area
	quick    bool
	rounds   int // 0: as many as enough takes
	window   time.Duration
	warm     time.Duration
	shapes   []shape  // nil: the area's own
	cases    []string // nil: all
	subjects []string // nil: all
	rivals   bool
	sources  map[string]string // a rival's name to the folder of its source
	base     string
	drop     bool

	json, md, svg, doc string // files to write, "" for none
	line               string // the command line, for the document
}

// errUsage is a command line that can't be run; what is wrong stands before it.
var errUsage = errors.New("go run ./bench -h shows how it is used")

// parse reads [area] [flags]; flags may stand on both sides of the area's word.
func parse(args []string, errs io.Writer) (*options, error) {
	o := &options{sources: map[string]string{}, line: strings.Join(append([]string{"go run ./bench"}, args...), " ")}
	f := o.flags(errs)
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	word := areas[0].word
	if f.NArg() > 0 {
		word = f.Arg(0)
		if err := f.Parse(f.Args()[1:]); err != nil {
			return nil, err
		}
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("one area at a time, and then %q? %w", f.Arg(0), errUsage)
	}
	if o.area = areaOf(word); o.area == nil {
		return nil, fmt.Errorf("no area is called %q; there is: %s", word, areaWords())
	}
	return o, o.settle()
}

func (o *options) flags(errs io.Writer) *flag.FlagSet {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(errs)
	f.BoolVar(&o.quick, "quick", false, "fewer cases, shorter windows: under a minute")
	f.IntVar(&o.rounds, "rounds", 0, "rounds of each case (default 5; memory and system calls take fewer)")
	f.DurationVar(&o.window, "window", 0, "how long one measurement takes (default 2s, quick 300ms; timer 4s and 1s)")
	f.DurationVar(&o.warm, "warm", 0, "load before the measurement begins (default 300ms, quick 100ms)")
	f.Func("shapes", "loads as CONNSxBYTESxPIPELINE, comma separated (default: the area's)", o.setShapes)
	f.Func("cases", "cases to run, comma separated (default: the area's; they stand above)", list(&o.cases))
	f.Func("subjects", "subjects to measure, comma separated (default: all)", list(&o.subjects))
	f.BoolVar(&o.rivals, "rivals", false, "build and measure the servers of bench/rivals too")
	f.Func("source", "NAME=FOLDER: measure the rival NAME (gnet, nbio, timingwheel) from its source in FOLDER; implies -rivals", o.setSource)
	f.StringVar(&o.base, "base", "std", "the subject that ratios are taken against")
	f.BoolVar(&o.drop, "drop-disturbed", false, "leave out what was measured while something else used the machine")
	f.StringVar(&o.json, "json", "", "write the rows as JSON to this file")
	f.StringVar(&o.md, "md", "", "write the tables as Markdown to this file")
	f.StringVar(&o.svg, "svg", "", "write the plot to this file")
	f.StringVar(&o.doc, "doc", "", "write the whole report (docs/benchmarks.md) to this file, and its plot beside it")
	f.Usage = func() {
		fmt.Fprintf(errs, "usage: go run ./bench [area] [flags]\n\nareas:\n")
		for _, a := range areas {
			fmt.Fprintf(errs, "  %-8s %s\n           cases: %s\n", a.word, a.what, strings.Join(a.cases, ", "))
		}
		fmt.Fprintf(errs, "\nflags:\n")
		f.PrintDefaults()
	}
	return f
}

// settle fills in what the command line left open and refuses what can't be run.
func (o *options) settle() error {
	if o.rounds < 0 || o.window < 0 || o.warm < 0 {
		return fmt.Errorf("rounds and times count upward: %w", errUsage)
	}
	for _, c := range o.cases {
		if !slices.Contains(o.area.cases, c) {
			return fmt.Errorf("%s has no case %q; there is: %s", o.area.word, c, strings.Join(o.area.cases, ", "))
		}
	}
	if len(o.sources) > 0 {
		o.rivals = true
	}
	window, warm := cmp.Or(o.area.window, 2*time.Second), 300*time.Millisecond
	if o.quick {
		window, warm = cmp.Or(o.area.quickWindow, 300*time.Millisecond), 100*time.Millisecond
	}
	if o.window == 0 {
		o.window = window
	}
	if o.warm == 0 {
		o.warm = warm
	}
	return nil
}

// enough is how many rounds a case takes when the command line does not say: five. A quick run with more than the
// three faces takes fewer, to stay quick.
func (o *options) enough(subjects int) int {
	switch {
	case o.rounds > 0:
		return o.rounds
	case o.quick && o.area != nil && o.area.quickRounds > 0:
		return o.area.quickRounds
	case o.quick:
		return max(1, 5*3/max(3, subjects))
	}
	return 5
}

func list(to *[]string) func(string) error {
	return func(s string) error {
		*to = strings.Split(s, ",")
		return nil
	}
}

func (o *options) setSource(s string) error {
	name, dir, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return errors.New("want NAME=FOLDER")
	}
	if _, err := os.Stat(dir); err != nil {
		return err
	}
	o.sources[name] = dir
	return nil
}

func (o *options) setShapes(s string) error {
	for word := range strings.SplitSeq(s, ",") {
		sh, err := parseShape(word)
		if err != nil {
			return err
		}
		o.shapes = append(o.shapes, sh)
	}
	return nil
}

// shape is a load: so many connections, each with so many messages of so many bytes under way.
type shape struct {
	conns, size, pipeline int
}

func (s shape) String() string { return fmt.Sprintf("%dx%dx%d", s.conns, s.size, s.pipeline) }

func parseShape(word string) (shape, error) {
	parts := strings.Split(word, "x")
	if len(parts) != 3 {
		return shape{}, fmt.Errorf("a shape is CONNSxBYTESxPIPELINE, not %q", word)
	}
	var n [3]int
	for i, p := range parts {
		v, err := strconv.Atoi(p)
		if err != nil || v < 1 {
			return shape{}, fmt.Errorf("a shape is CONNSxBYTESxPIPELINE, not %q", word)
		}
		n[i] = v
	}
	return shape{n[0], n[1], n[2]}, nil
}
