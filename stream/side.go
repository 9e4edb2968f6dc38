package stream

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/weir-go/weir/internal/h2"
)

// side is what a Server and a Client have in common, and what their sessions and
// streams need of either.
type side struct {
	cfg     Config
	limits  *h2.Limits
	codecs  map[string]Compressor
	accepts string       // their names, as in grpc-accept-encoding
	held    atomic.Int64 // bytes of messages that wait, of all sessions
	count   counters
	look    time.Duration // between two looks at streams, of a server. 0: nobody looks
}

// settle makes the side of a configuration that has its defaults.
func (x *side) settle(cfg Config, client bool) {
	x.cfg = cfg
	if cfg.Admit != nil && !client {
		x.look = lookMost // so that it is known who is idle when streams have to go
	}
	x.limits = cfg.limits(client)
	x.codecs = make(map[string]Compressor)
	names := make([]string, 0, len(cfg.Compressors))
	for _, c := range cfg.Compressors {
		x.codecs[c.Name()] = c
		names = append(names, c.Name())
	}
	x.accepts = strings.Join(names, ",")
}
