package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/weir-go/weir/bench/internal/proc"
	"github.com/weir-go/weir/bench/internal/report"
)

// publish prints the tables and writes the files that were asked for.
func (b *bench) publish(out io.Writer) error {
	rows := b.log.Rows(report.Options{Bench: b.area.word, Base: b.base, Bases: b.bases, Metrics: b.area.metrics, Drop: b.drop})
	var tables []report.Grid
	if b.area.tables != nil {
		tables = b.area.tables(b, rows)
	}
	tables = append(tables, report.Grids(rows, b.area.metrics, b.names)...)
	fmt.Fprintln(out)
	for _, g := range tables {
		fmt.Fprintln(out, g.Text())
	}
	for _, n := range b.remarks() {
		fmt.Fprintln(out, n)
	}
	if b.json != "" {
		var buf bytes.Buffer
		if err := report.WriteJSON(&buf, rows); err != nil {
			return err
		}
		if err := os.WriteFile(b.json, buf.Bytes(), 0o644); err != nil {
			return err
		}
	}
	if b.md != "" {
		if err := os.WriteFile(b.md, []byte(markdown(tables, 2)), 0o644); err != nil {
			return err
		}
	}
	var pictures []picture
	if b.area.pictures != nil {
		pictures = b.area.pictures(b, rows)
	}
	if b.svg != "" {
		if len(pictures) == 0 {
			return fmt.Errorf("no plot: nothing was measured that it shows beside the base, %s", b.base)
		}
		if err := os.WriteFile(b.svg, []byte(pictures[0].svg), 0o644); err != nil {
			return err
		}
	}
	if b.doc != "" {
		return b.document(tables, pictures)
	}
	return nil
}

func markdown(tables []report.Grid, depth int) string {
	var s strings.Builder
	for _, g := range tables {
		s.WriteString(g.Markdown(depth) + "\n")
	}
	return s.String()
}

// remarks are what stands below the tables: how many measurements were disturbed, and the notes of the run.
func (b *bench) remarks() []string {
	bad, of := b.log.Disturbed("")
	what := "kept"
	if b.drop {
		what = "left out"
	}
	list := []string{fmt.Sprintf("%d of %d measurements were disturbed (steal above %d %% or other processes above %d %% of the cores): %s.",
		bad, of, proc.MostSteal, proc.MostOther, what)}
	for _, n := range b.notes {
		list = append(list, "Note: "+n+".")
	}
	return list
}
