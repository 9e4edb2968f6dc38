package main

import (
	"slices"
	"strings"
	"time"

	"github.com/weir-go/weir/bench/internal/report"
)

// area is one thing that is measured: a word on the command line. A new one is a file with a measure function, its
// metrics and names, and a line in areas.
type area struct {
	word, what string
	measure    func(b *bench) error // adds samples by bench.interleave, and notes
	cases      []string             // what -cases chooses from
	metrics    []report.Metric      // in the order of rows and columns
	names      report.Names         // of subjects and cases in tables; a run may add to its own copy
	prose      string               // how to read the figures, for the document

	// What to draw, and what to sum up above the tables of the cases. Nil: nothing.
	pictures func(b *bench, rows []report.Row) []picture
	tables   func(b *bench, rows []report.Row) []report.Grid

	// rounds says how much was measured, for the document. Nil: so many rounds of one window each.
	rounds func(b *bench) string

	window, quickWindow time.Duration // how long one measurement takes, 0: two seconds and 300 ms
	quickEnds           time.Duration // when a quick run does with one round of what is left, 0: after 38 s
	quickRounds         int           // of a quick run, 0: as many as enough takes
}

// picture is one SVG file.
type picture struct {
	suffix, title, svg string // suffix is of its file's name, behind the area's word
}

// areas are all there are; the first is the one that runs without a word.
var areas = []*area{echoArea, timerArea, streamArea, idemArea, schedArea, boundsArea}

func areaOf(word string) *area {
	i := slices.IndexFunc(areas, func(a *area) bool { return a.word == word })
	if i < 0 {
		return nil
	}
	return areas[i]
}

func areaWords() string {
	var words []string
	for _, a := range areas {
		words = append(words, a.word)
	}
	return strings.Join(words, ", ")
}
