// Package report turns what a benchmark measured in each round into rows, tables and a plot.
//
//	Sample (one value of one round) ─► Log ─► Row (median, range, ratios) ─┬► JSON
//	                                                                      ├► Grid ─► terminal, Markdown
//	                                                                      └► Plot ─► SVG
package report

import (
	"encoding/json"
	"io"
	"math"
	"strconv"
)

// Row is one figure of one subject: the form that every benchmark of this repository writes, one JSON object a row.
type Row struct {
	Bench   string  `json:"bench"`   // the area: "echo"
	Case    string  `json:"case"`    // the shape or situation: "64x64x1", "idle", ...
	Subject string  `json:"subject"` // who was measured: "std", "callback", ...
	Metric  string  `json:"metric"`  // what was measured; "<metric>_ratio" is against the base subject
	Unit    string  `json:"unit"`
	Median  float64 `json:"median"`
	Min     float64 `json:"min"`
	Max     float64 `json:"max"`
	Rounds  int     `json:"rounds"` // how many rounds the three figures are of
}

// WriteJSON writes the rows as one array, a row a line, so that two files compare well line by line.
func WriteJSON(w io.Writer, rows []Row) error {
	buf := []byte("[")
	for i, r := range rows {
		r.Median, r.Min, r.Max = shorten(r.Median), shorten(r.Min), shorten(r.Max)
		line, err := json.Marshal(r)
		if err != nil {
			return err
		}
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = append(append(buf, "\n  "...), line...)
	}
	_, err := w.Write(append(buf, "\n]\n"...))
	return err
}

// shorten keeps six significant digits: more would be noise that looks like knowledge.
func shorten(v float64) float64 {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	s, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 6, 64), 64)
	return s
}
