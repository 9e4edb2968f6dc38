package metrics

// TwinStats are what contrib/grpc's ClientConn counts of its streams and their
// twins: its TwinStats, field by field. That package is of another module, so a
// program converts them, which the compiler checks:
//
//	metrics.NewTwins("shop", func() metrics.TwinStats { return metrics.TwinStats(cc.TwinStats()) })
type TwinStats struct {
	Now      int64  // streams that their twins serve
	Followed uint64 // times that a stream went over to its twin
	Refused  uint64 // times that it was tried again, and was refused
	Returned uint64 // times that it was back
	Calls    uint64 // of twins
}

// Twins is a prometheus.Collector over how often a client's streams went over to
// their unary twins, because their server was short of something, and came back.
// It may be scraped from any goroutine, also after its client was closed.
type Twins struct{ collector[TwinStats] }

// NewTwins makes a collector that labels everything it reads from stats with
// client=name: the name that NewStreamClient has for the same client. stats must
// be safe to call from any goroutine. Within a registry a name can be registered
// once.
func NewTwins(name string, stats func() TwinStats) *Twins {
	return &Twins{collects("weir_twin_", "client", name, stats, twinFigures)}
}

var twinFigures = []row[TwinStats]{
	{level, "streams", "", "Streams that their twins serve now.",
		func(s *TwinStats) float64 { return float64(s.Now) }},
	{count, "followed_total", "", "Times that a stream went over to its twin.",
		func(s *TwinStats) float64 { return float64(s.Followed) }},
	{count, "refused_total", "", "Times that a stream that its twin serves was tried again, and was refused.",
		func(s *TwinStats) float64 { return float64(s.Refused) }},
	{count, "returned_total", "", "Times that a stream was back.",
		func(s *TwinStats) float64 { return float64(s.Returned) }},
	{count, "calls_total", "", "Calls of twins.",
		func(s *TwinStats) float64 { return float64(s.Calls) }},
}
