package proxyproto

import "sync/atomic"

// Counters count what has come of headers. The zero value counts; several Configs
// may share one. Its methods may be called from any goroutine.
type Counters struct {
	untrusted, malformed, late, refused atomic.Uint64
	versions                            [3]atomic.Uint64 // of headers that name a client; 0: that name none
}

// Stats is what Counters have counted.
type Stats struct {
	Untrusted uint64 // connections of peers that are no proxies: passed on without a look
	V1        uint64 // headers of version 1 that name a client
	V2        uint64 // headers of version 2 that do
	Nameless  uint64 // headers that do not: health checks, families other than TCP over IP
	Malformed uint64 // connections closed with ErrHeader
	Late      uint64 // and with ErrTime
	Refused   uint64 // headers whose client the listener's Guard did not let in: of V1 and V2
}

// Stats returns the counts.
func (c *Counters) Stats() Stats {
	return Stats{
		Untrusted: c.untrusted.Load(),
		V1:        c.versions[1].Load(),
		V2:        c.versions[2].Load(),
		Nameless:  c.versions[0].Load(),
		Malformed: c.malformed.Load(),
		Late:      c.late.Load(),
		Refused:   c.refused.Load(),
	}
}

// read counts a header.
func (c *Counters) read(h Header) {
	if !h.Source.IsValid() {
		h.Version = 0
	}
	c.versions[h.Version].Add(1)
}
