package metrics

import "github.com/prometheus/client_golang/prometheus"

// collector is a prometheus.Collector that shows one Stats value by its tables,
// and nothing besides: most of this package's are one.
type collector[T any] struct {
	stats func() T
	table shown[T]
}

// collects makes the collector of what stats returns, with a label, "" for none, of
// the value name.
func collects[T any](prefix, label, name string, stats func() T, tables ...[]row[T]) collector[T] {
	var labels prometheus.Labels
	if label != "" {
		labels = prometheus.Labels{label: name}
	}
	return collector[T]{stats, tabulate(prefix, labels, tables...)}
}

// Describe implements prometheus.Collector.
func (c *collector[T]) Describe(to chan<- *prometheus.Desc) { c.table.describe(to) }

// Collect implements prometheus.Collector.
func (c *collector[T]) Collect(to chan<- prometheus.Metric) {
	s := c.stats()
	c.table.collect(to, &s)
}

// row is one number of a T. Rows of one name follow each other, and each has
// another reason.
type row[T any] struct {
	kind   prometheus.ValueType
	name   string
	reason string // "" for a figure that isn't split by reason
	help   string
	read   func(*T) float64
}

// shown are rows with their descriptions.
type shown[T any] struct {
	rows  []row[T]
	descs []*prometheus.Desc
}

func tabulate[T any](prefix string, label prometheus.Labels, tables ...[]row[T]) (s shown[T]) {
	help := ""
	for _, table := range tables {
		for _, r := range table {
			var by []string
			if r.reason != "" {
				by = []string{"reason"}
			}
			if r.help != "" { // otherwise it is the next reason of the same figure
				help = r.help
			}
			s.rows = append(s.rows, r)
			s.descs = append(s.descs, prometheus.NewDesc(prefix+r.name, help, by, label))
		}
	}
	return s
}

func (s *shown[T]) describe(to chan<- *prometheus.Desc) {
	for _, d := range s.descs {
		to <- d
	}
}

func (s *shown[T]) collect(to chan<- prometheus.Metric, v *T) {
	for i, r := range s.rows {
		var reason []string
		if r.reason != "" {
			reason = []string{r.reason}
		}
		to <- prometheus.MustNewConstMetric(s.descs[i], r.kind, r.read(v), reason...)
	}
}
