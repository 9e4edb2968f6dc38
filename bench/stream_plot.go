package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/weir-go/weir/bench/internal/report"
)

// streamPictures are the ratios of CPU: of messages, and of deliveries.
func streamPictures(b *bench, rows []report.Row) []picture {
	names := streamPlotNames()
	var list []picture
	for _, m := range []struct{ suffix, title, metric string }{
		{"", "Server CPU per message of both sides, and per call", "cpu_per_message"},
		{"-fanout", "Server CPU per delivery", "cpu_per_delivery"},
	} {
		p := report.Plot{
			Title:  m.title + ", grpc-go's best way = 1",
			Note:   "Shorter is better. Bars: median of the ratios within rounds; whiskers: their range.",
			Metric: m.metric + report.RatioSuffix, Base: plotBase, Names: names,
		}
		for _, r := range rows { // the base differs from case to case: its ratio is 1 and says nothing
			if r.Metric == p.Metric && b.bases[r.Case] != r.Subject && !slices.Contains(bidiRivals, r.Subject) {
				p.Rows = append(p.Rows, r)
			}
		}
		if svg := p.SVG(); svg != "" {
			list = append(list, picture{m.suffix, m.title, svg})
		}
	}
	return list
}

// plotBase stands for whichever rival was best.
const plotBase = "best"

// streamPlotNames are shorter than those of the tables: a picture has one line for all of them.
func streamPlotNames() report.Names {
	names := report.Names{
		plotBase:    "grpc-go",
		"generated": "generated code", "inline": "generated, on the loop", "callback": "callbacks, protobuf", "raw": "callbacks, bytes",
		"grpc-chan": "a channel each", "grpc-prep": "encoded once", "grpc-direct": "publisher sends",
		"topic": "Topic", "topic-alone": "Topic, nobody slow", "unary": "calls, 64 B",
	}
	for _, s := range bidiShapes {
		names[s.id()] = fmt.Sprintf("%s, %d B", connections(s.conns), s.size)
	}
	for _, n := range fanSizes {
		maps.Copy(names, report.Names{
			fanID(n):   report.Number(float64(n)) + ", unpaced",
			pacedID(n): report.Number(float64(n)) + ", 50,000/s",
		})
	}
	return names
}
