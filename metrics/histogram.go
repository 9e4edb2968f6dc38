package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-go/weir/conn"
)

// powers says which of a conn.Histogram's buckets become le labels: those from
// first to last. What is below first counts as being in it; what is above last
// shows in +Inf only, as does the histogram's own last bucket, which has no
// bound.
type powers struct {
	first, last int
	unit        float64 // how many of the histogram's units make a base unit
}

var (
	turnTime   = powers{first: 10, last: 30, unit: 1e9} // 1.023 µs to 1.07 s, each twice the one before
	turnEvents = powers{first: 0, last: 10, unit: 1}    // 0, 1, 3, 7, ... 1,023
)

// histogram translates h, whose buckets are counted apart, into the form of
// Prometheus, where each bucket includes those below it.
func (b powers) histogram(d *prometheus.Desc, h *conn.Histogram, labels ...string) prometheus.Metric {
	upTo := make(map[float64]uint64, b.last-b.first+1)
	// The count is summed up here rather than taken from h: the loop went on
	// counting while h was copied, and +Inf must not be less than a bucket.
	var count uint64
	for i, n := range h.Buckets {
		count += n
		if b.first <= i && i <= b.last {
			upTo[float64(h.Bound(i))/b.unit] = count
		}
	}
	return prometheus.MustNewConstHistogram(d, count, float64(h.Sum)/b.unit, upTo, labels...)
}
