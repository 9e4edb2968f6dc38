package main

import (
	"fmt"

	"github.com/weir-go/weir/bench/internal/report"
)

// timerPictures are the distributions of lateness: a picture a period, a panel a load, a line a ticker. That of 10 ms
// is first.
func timerPictures(b *bench, _ []report.Row) []picture {
	var list []picture
	for _, p := range tickPeriods {
		c := report.Curves{
			Title: fmt.Sprintf("Lateness of a tick every %d ms", p.Milliseconds()),
			Note:  "How many of the ticks are no later than that. Further left and steeper is better.",
			Names: b.names,
		}
		for _, l := range tickLoads {
			panel := report.Panel{Title: loadNames[l]}
			for _, s := range tickSubjects[l] {
				if one := b.pools[tickCase{l, p}][s]; one != nil && len(one.late) > 0 {
					panel.Lines = append(panel.Lines, report.Line{Subject: s, Sorted: one.spread()})
				}
			}
			if len(panel.Lines) > 0 {
				c.Panels = append(c.Panels, panel)
			}
		}
		if len(c.Panels) > 0 {
			list = append(list, picture{suffix: fmt.Sprintf("-%dms", p.Milliseconds()), title: c.Title, svg: c.SVG()})
		}
	}
	for i, p := range list {
		if p.suffix == "-10ms" {
			list[0], list[i] = list[i], list[0]
		}
	}
	return list
}
