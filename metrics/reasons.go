package metrics

import "github.com/prometheus/client_golang/prometheus"

// reasonFigure is one number of a T. Rows of one name follow each other, each with
// another reason; the first has the help.
type reasonFigure[T any] struct {
	kind   prometheus.ValueType
	name   string
	reason string // "" for a figure that isn't split by reason
	help   string
	read   func(*T) float64
}

// reasons are the rows of a table with their descriptions.
type reasons[T any] struct {
	rows  []reasonFigure[T]
	descs []*prometheus.Desc
}

func describe[T any](rows []reasonFigure[T], label prometheus.Labels) reasons[T] {
	r := reasons[T]{rows: rows}
	help := ""
	for _, f := range rows {
		if f.help != "" {
			help = f.help
		}
		var by []string
		if f.reason != "" {
			by = []string{"reason"}
		}
		r.descs = append(r.descs, prometheus.NewDesc("weir_"+f.name, help, by, label))
	}
	return r
}

func (r *reasons[T]) collect(to chan<- prometheus.Metric, s *T) {
	for i, f := range r.rows {
		var reason []string
		if f.reason != "" {
			reason = []string{f.reason}
		}
		to <- prometheus.MustNewConstMetric(r.descs[i], f.kind, f.read(s), reason...)
	}
}

func (r *reasons[T]) describe(to chan<- *prometheus.Desc) {
	for _, d := range r.descs {
		to <- d // a figure's reasons repeat it, which registries allow
	}
}
