package report

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Grid is a small table: the first column stands left, the others right, or left too for words.
type Grid struct {
	Title string
	Words bool
	Head  []string
	Rows  [][]string
}

// Text draws the grid for a terminal.
func (g Grid) Text() string {
	width := make([]int, len(g.Head))
	for _, row := range append([][]string{g.Head}, g.Rows...) {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	if g.Title != "" {
		fmt.Fprintf(&b, "%s\n", g.Title)
	}
	for _, row := range append([][]string{g.Head}, g.Rows...) {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				line.WriteString("  " + cell + pad)
			} else {
				line.WriteString("  " + pad + cell)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}

// Markdown draws the grid as a Markdown table under a heading of the given depth.
func (g Grid) Markdown(depth int) string {
	var b strings.Builder
	if g.Title != "" {
		fmt.Fprintf(&b, "%s %s\n\n", strings.Repeat("#", depth), g.Title)
	}
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(g.Head)
	rule := make([]string, len(g.Head))
	for i := range rule {
		rule[i] = "---"
		if i > 0 && !g.Words {
			rule[i] = "---:"
		}
	}
	line(rule)
	for _, row := range g.Rows {
		line(row)
	}
	return b.String()
}

// Names says how subjects and cases are called in tables, by their id.
type Names map[string]string

// Of is id's name, or the id itself when it has none.
func (n Names) Of(id string) string {
	if name, ok := n[id]; ok {
		return name
	}
	return id
}

// Grids makes one table a case of rows as Log.Rows gives them. A cell is the median and the range.
func Grids(rows []Row, metrics []Metric, names Names) []Grid {
	var grids []Grid
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].Case == rows[0].Case {
			n++
		}
		if g := caseGrid(rows[:n], metrics, names); len(g.Head) > 1 {
			grids = append(grids, g)
		}
		rows = rows[n:]
	}
	return grids
}

func caseGrid(rows []Row, metrics []Metric, names Names) Grid {
	g := Grid{Title: names.Of(rows[0].Case), Head: []string{""}}
	var subjects []string
	cells := map[[2]string]string{} // by subject, metric
	present := map[string]bool{}
	for _, r := range rows {
		if _, ok := cells[[2]string{r.Subject}]; !ok {
			cells[[2]string{r.Subject}] = names.Of(r.Subject)
			subjects = append(subjects, r.Subject)
		}
		cells[[2]string{r.Subject, r.Metric}] = cell(r)
		present[r.Metric] = true
	}
	var columns []string
	column := func(metric, title string) {
		if present[metric] {
			columns = append(columns, metric)
			g.Head = append(g.Head, title)
		}
	}
	for _, m := range metrics {
		if m.Aside {
			continue
		}
		column(m.Name, m.Title)
		if m.Ratio == RatioColumn {
			column(m.Name+RatioSuffix, "ratio")
		}
	}
	for _, subject := range subjects {
		line := []string{names.Of(subject)}
		for _, metric := range columns {
			line = append(line, cells[[2]string{subject, metric}])
		}
		g.Rows = append(g.Rows, line)
	}
	return g
}

// cell is "median (min–max)", or the median alone when there was one round or no spread.
func cell(r Row) string {
	if r.Rounds == 1 || Number(r.Min) == Number(r.Max) {
		return Number(r.Median)
	}
	return fmt.Sprintf("%s (%s–%s)", Number(r.Median), Number(r.Min), Number(r.Max))
}

// Number writes about three significant digits, and groups thousands.
func Number(v float64) string {
	switch a := max(v, -v); {
	case a >= 1000:
		return group(fmt.Sprintf("%.0f", v))
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 1 || a == 0:
		return fmt.Sprintf("%.2f", v)
	case a >= 0.1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

func group(digits string) string {
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
