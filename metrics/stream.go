package metrics

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-go/weir/stream"
)

// ServerSource is what a StreamServer collector reads; *stream.Server is one.
// Stats must be safe to call from any goroutine, as that of the sources below.
type ServerSource interface {
	Stats() stream.Stats
}

// ClientSource is what a StreamClient collector reads; *stream.Client is one.
type ClientSource interface {
	Stats() stream.ClientStats
}

// TopicSource is what a Topic collector reads; *stream.Topic is one.
type TopicSource interface {
	Stats() stream.TopicStats
}

// StreamServer is a prometheus.Collector over the counters of one
// stream.Server. It may be scraped from any goroutine, also after its server was
// closed. It has no label for methods or peers: those are as many as clients
// like; interceptors and stats handlers of contrib/grpc are for that.
type StreamServer struct{ collector[stream.Stats] }

// NewStreamServer makes a collector that labels everything it reads from source
// with server=name. Within a registry a name can be registered once.
func NewStreamServer(name string, source ServerSource) *StreamServer {
	return &StreamServer{collects("weir_stream_server_", "server", name, source.Stats, serverFigures, streamFigures)}
}

// StreamClient is a prometheus.Collector over the counters of one
// stream.Client. It may be scraped from any goroutine.
type StreamClient struct {
	source ClientSource
	shared shown[stream.Stats]
	own    shown[stream.ClientStats]
}

// NewStreamClient makes a collector that labels everything it reads from source
// with client=name. Within a registry a name can be registered once.
func NewStreamClient(name string, source ClientSource) *StreamClient {
	const prefix = "weir_stream_client_"
	label := prometheus.Labels{"client": name}
	return &StreamClient{source, tabulate(prefix, label, streamFigures), tabulate(prefix, label, clientFigures, targetFigures)}
}

// Describe implements prometheus.Collector.
func (c *StreamClient) Describe(to chan<- *prometheus.Desc) {
	c.shared.describe(to)
	c.own.describe(to)
}

// Collect implements prometheus.Collector.
func (c *StreamClient) Collect(to chan<- prometheus.Metric) {
	s := c.source.Stats()
	c.shared.collect(to, &s.Stats)
	c.own.collect(to, &s)
}

// Topic is a prometheus.Collector over the counters of one stream.Topic. It may
// be scraped from any goroutine. A scrape looks at each subscription that is
// behind.
type Topic struct {
	source  TopicSource
	table   shown[stream.TopicStats]
	dropped *prometheus.Desc
}

// NewTopic makes a collector that labels everything it reads from source with
// topic=name. Within a registry a name can be registered once: topics that come
// and go by the thousand are better summed up in one source.
func NewTopic(name string, source TopicSource) *Topic {
	label := prometheus.Labels{"topic": name}
	return &Topic{source, tabulate("weir_topic_", label, topicFigures), prometheus.NewDesc("weir_topic_dropped_total",
		"Messages that a subscriber did not get because it was behind, by its policy.", []string{"policy"}, label)}
}

// Describe implements prometheus.Collector.
func (c *Topic) Describe(to chan<- *prometheus.Desc) {
	c.table.describe(to)
	to <- c.dropped
}

// Collect implements prometheus.Collector.
func (c *Topic) Collect(to chan<- prometheus.Metric) {
	s := c.source.Stats()
	c.table.collect(to, &s)
	for p, n := range s.Dropped {
		if p > 0 { // 0 is no policy
			to <- prometheus.MustNewConstMetric(c.dropped, count, float64(n), strings.ReplaceAll(stream.Policy(p).String(), " ", "_"))
		}
	}
}
