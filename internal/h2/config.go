package h2

import "time"

// Config says what one end of a connection takes from its peer. The zero value
// works; each field's zero stands in its comment.
type Config struct {
	Client bool // this end dialled: it sends the preface and opens the streams

	MaxFrame         uint32 // bytes of a frame's payload. 0: 16384. Above: FRAME_SIZE_ERROR
	MaxHeaderList    uint32 // of one header list, as section 6.5.2 counts. 0: 16 KiB. Above: Block.TooLarge
	MaxHeaderBlock   int    // encoded bytes of one block with its CONTINUATION frames. 0: 4 x MaxHeaderList. Above: ENHANCE_YOUR_CALM
	MaxContinuations int    // CONTINUATION frames of one block. 0: 16, or twice those that MaxHeaderBlock needs if that is more. Above: ENHANCE_YOUR_CALM
	HeaderTable      uint32 // bytes of the HPACK table the peer may use. 0: 4096
	MaxStreams       uint32 // of the peer, until Core.Release. 0: 1000. Above: REFUSED_STREAM
	StreamWindow     int32  // bytes a stream may send unasked. 0: 65535
	ConnWindow       int32  // bytes all streams together may. 0: 1 MiB; at least 65535

	Resets   Rate // of streams that end in an error of the peer's making, or by its RST_STREAM before we have answered. 0: 2 x MaxStreams, at least 200, and half as many a second
	Settings Rate // SETTINGS frames. 0: 50, 10 a second
	Pings    Rate // PING frames in a row without Core.Progress. 0: 1000, 100 a second
	Chores   Rate // frames that carry nothing: empty DATA, small WINDOW_UPDATE, PRIORITY, unknown and late ones. 0: 10,000, 1,000 a second; each frame that carries something pays one back
}

// Rate is a leaky bucket: Burst at once, PerSecond in the long run. A breach is
// ENHANCE_YOUR_CALM for the connection.
type Rate struct{ Burst, PerSecond int }

// Limits is a Config with its zeros filled in. It is shared by many Cores and
// never changed.
type Limits struct {
	Config
	resets, settings, pings, chores spacing
}

// NewLimits fills in what cfg leaves zero and keeps the rest within what the
// protocol allows.
func NewLimits(cfg Config) *Limits {
	l := &Limits{Config: cfg}
	fill(&l.MaxFrame, MinMaxFrame)
	l.MaxFrame = min(max(l.MaxFrame, MinMaxFrame), MaxMaxFrame)
	fill(&l.MaxHeaderList, 16<<10)
	fill(&l.MaxHeaderBlock, 4*int(l.MaxHeaderList))
	fill(&l.MaxContinuations, max(16, 2*(l.MaxHeaderBlock/MinMaxFrame)))
	fill(&l.HeaderTable, 4096)
	fill(&l.MaxStreams, 1000)
	fill(&l.StreamWindow, InitialWindow)
	fill(&l.ConnWindow, 1<<20)
	l.StreamWindow = max(l.StreamWindow, 1)
	l.ConnWindow = max(l.ConnWindow, InitialWindow) // it cannot be lowered
	burst := max(200, 2*int(min(l.MaxStreams, 1<<20)))
	l.resets = l.Resets.spacing(burst, burst/2)
	l.settings = l.Settings.spacing(50, 10)
	l.pings = l.Pings.spacing(1000, 100)
	l.chores = l.Chores.spacing(10_000, 1000)
	return l
}

func fill[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// spacing is a Rate as a bucket uses it, in nanoseconds.
type spacing struct {
	each  int64 // between two, in the long run
	slack int64 // that a burst may be ahead of it
}

func (r Rate) spacing(burst, perSecond int) spacing {
	fill(&r.Burst, burst)
	fill(&r.PerSecond, perSecond)
	each := int64(time.Second) / int64(max(r.PerSecond, 1))
	return spacing{each: each, slack: each * int64(max(r.Burst, 1))}
}

// bucket counts against a spacing. It is the instant, in the nanoseconds of
// Core.Feed, up to which what came so far would have taken at the long-run rate
// (the generic cell rate algorithm). The zero value is full.
type bucket int64

// take pays for one at the instant now; false when there is nothing left.
func (b *bucket) take(now int64, s spacing) bool {
	t := max(int64(*b), now) + s.each
	if t-now > s.slack {
		return false
	}
	*b = bucket(t)
	return true
}

// give pays one back.
func (b *bucket) give(s spacing) { *b -= bucket(s.each) }

// reset makes it full.
func (b *bucket) reset() { *b = 0 }
