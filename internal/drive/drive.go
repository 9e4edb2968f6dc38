// Package drive puts load on an echo server and checks every byte that comes
// back. It stands on package conn's callback face, so that it costs little: on
// a machine that it shares with the server, what the driver needs the server
// doesn't get.
//
//	             window opens                     window closes
//	Open ──► quiet ──► K messages out on each ──► nothing new ──► quiet ──► ...
//	                   connection; each one that     │   wait for what is out,
//	                   is back sends the next        └── but not for ever
//
// What is sent is a stream that differs for each connection and never repeats
// within thousands of bytes (pattern.go). A byte that is flipped, lost, doubled,
// out of place, or another connection's is found by comparing what comes back
// with the stream at that position.
package drive

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weir-go/weir/conn"
)

// Mode is what the connections do.
type Mode uint8

const (
	// Echo keeps Conns connections open, each with Pipeline messages out.
	Echo Mode = iota

	// Churn opens a connection, has one message echoed, closes it, and opens
	// the next: Conns of these at a time. A message's latency begins with its
	// connect.
	Churn

	// Idle opens Conns connections, has one message echoed on each, and holds
	// them.
	Idle
)

// Config says what to do. The zero value of each field is given in its comment.
type Config struct {
	To       conn.Addr     // the server
	Conns    int           // connections. 0: 1
	Size     int           // bytes of a message. 0: 64
	Pipeline int           // messages that a connection may have out at once. 0: 1
	For      time.Duration // how long to measure. 0: until ctx ends
	Warmup   time.Duration // load before that, which isn't counted. 0: none
	Mode     Mode

	// Rate is how many messages all connections together send in a second,
	// whether or not the server keeps up (an open loop); latency is counted
	// from the moment a message was to be sent. 0: a closed loop, the next
	// message goes out when one has come back. Echo only.
	Rate int

	// Patience is how long to wait at the end for messages that are still out;
	// what has not come back by then counts as an error. 0: 10 s.
	Patience time.Duration

	// Progress, if set, is called about once a second while measuring, on the
	// goroutine that called Run.
	Progress func(Snapshot)

	Seed uint64 // of the bytes that are sent
}

// Snapshot is how far a measurement is.
type Snapshot struct {
	Elapsed  time.Duration // since it began
	Requests uint64        // messages echoed since then
	Errors   uint64        // of Result.Errors and Mismatches, so far
	Rate     float64       // messages a second since the Snapshot before
}

// Result is what was measured.
type Result struct {
	Requests   uint64 // messages that came back whole, while the window was open
	Conns      uint64 // connections that took part; Churn: that were opened
	Errors     uint64 // connections that couldn't be opened, ended early, or never gave a message back
	Mismatches uint64 // connections on which wrong bytes came back, or too many
	Unsent     uint64 // open loop: messages whose time came while the connection had Pipeline out

	BytesOut, BytesIn uint64        // of whole messages
	Elapsed           time.Duration // while the window was open
	Rate              float64       // Requests a second

	// Latency has every message that came back, also those that did after the
	// window closed: a stall at the end is not hidden.
	Latency Latency

	// Failure is the first thing that was counted in Errors or Mismatches, as
	// an example; nil if there was none.
	Failure error
}

// Failures that the driver itself finds out. Others, in Result.Failure, are the
// system's.
var (
	ErrMismatch = errors.New("drive: wrong bytes came back")
	ErrStuck    = errors.New("drive: a message never came back")
	ErrEnded    = errors.New("drive: the server closed the connection")
)

// Run opens the connections on rt, warms up, measures, and closes them. It
// waits: don't call it on a loop. When ctx ends early, what was measured until
// then is returned. Connections that fail are counted in the result; the error
// says that nothing could be measured at all.
func Run(ctx context.Context, rt *conn.Runtime, cfg Config) (Result, error) {
	load, err := Open(ctx, rt, cfg)
	if err != nil {
		return Result{}, err
	}
	defer load.Close()
	var warm Result
	if cfg.Warmup > 0 && cfg.Mode != Idle {
		if warm, err = load.Measure(ctx, cfg.Warmup); err != nil {
			return warm, err
		}
	}
	r, err := load.Measure(ctx, cfg.For)
	r.Errors += warm.Errors
	r.Mismatches += warm.Mismatches
	if warm.Failure != nil {
		r.Failure = warm.Failure
	}
	return r, err
}

func (cfg *Config) setDefaults() error {
	for _, f := range []struct {
		name  string
		value *int
		zero  int
		most  int
	}{
		{"Conns", &cfg.Conns, 1, 1 << 20},
		{"Size", &cfg.Size, 64, 64 << 20},
		{"Pipeline", &cfg.Pipeline, 1, 1 << 16},
		{"Rate", &cfg.Rate, 0, 1e9},
	} {
		if *f.value == 0 {
			*f.value = f.zero
		}
		if *f.value < 0 || *f.value > f.most {
			return fmt.Errorf("drive: %s is %d: it may be 1 to %d", f.name, *f.value, f.most)
		}
	}
	if cfg.Patience <= 0 {
		cfg.Patience = 10 * time.Second
	}
	if cfg.Mode != Echo {
		cfg.Rate, cfg.Pipeline = 0, 1
	}
	return nil
}
