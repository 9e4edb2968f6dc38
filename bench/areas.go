package main

import (
	"slices"
	"strings"

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
	plot       report.Plot          // what to draw: Title, Note and Metric
	prose      string               // how to read the figures, for the document
}

// areas are all there are; the first is the one that runs without a word.
var areas = []*area{echoArea}

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
