package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/weir-go/weir/bench/internal/proc"
)

// job is what a driver process is told to do, as JSON on its command line.
//
//	driver                                    bench
//	opens its connections
//	"open"                               ──►  (whatever is to be looked at before there is load)
//	                                     ◄──  "go"
//	load: warm-up, then the window
//	result as JSON on one line           ──►
//	                                     ◄──  end of input
//	closes its connections and ends
type job struct {
	Addr     string
	Mode     string // "echo", "churn" or "idle"
	Conns    int
	Size     int // bytes of a message
	Pipeline int // messages under way on each connection
	Rate     int // messages a second, of all connections together; 0: as many as come back
	Warm     time.Duration
	Window   time.Duration
	Server   int // process whose CPU time is sampled at the edges of the window
}

// result is what a driver saw. A request of churn is a connection: opened, one message echoed, closed.
type result struct {
	Rate                float64 // requests answered a second while the window was open
	Counted             uint64  // requests that Usage is of: the window's and those that were under way at its end
	All                 uint64  // requests since "go", warm-up and all
	P50, P99, P999, Max time.Duration
	Errors, Wrong       uint64 // connections that failed; connections on which wrong bytes came back
	Why                 string // the first of them
	Usage               proc.Usage
}

// Words between bench and driver.
const (
	wordOpen = "open"
	wordGo   = "go"
)

// errBad is a measurement in which a connection failed or a byte came back changed.
var errBad = errors.New("the server did not echo what it was sent")

// driver is a running driver process.
type driver struct {
	*proc.Proc
	job job
}

// open starts a driver on its core and returns when all its connections are open.
func (b *bench) open(j job, at place) (*driver, error) {
	text, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(b.self, "drive", string(text))
	cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(at.procs))
	p, err := proc.Start(cmd, at.core)
	if err != nil {
		return nil, err
	}
	d := &driver{p, j}
	if first, err := p.Line(patience); err != nil || first != wordOpen {
		return nil, errors.Join(err, d.end())
	}
	return d, nil
}

// run lets the driver do its work and returns what it saw; anything wrong in it is an error.
func (d *driver) run() (*result, error) {
	text, err := d.Ask(wordGo, patience+d.job.Warm+d.job.Window)
	if err != nil {
		return nil, err
	}
	var r result
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return nil, fmt.Errorf("driver says %q: %w", text, err)
	}
	return &r, r.verdict()
}

// verdict is an error unless everything came back as it was sent.
func (r *result) verdict() error {
	switch {
	case r.Errors > 0 || r.Wrong > 0:
		return fmt.Errorf("%w: %d connections failed, %d got wrong bytes: %s", errBad, r.Errors, r.Wrong, r.Why)
	case r.Counted == 0:
		return fmt.Errorf("%w: no request was answered", errBad)
	}
	return nil
}

// end lets the driver close its connections and waits for it.
func (d *driver) end() error { return d.Stop(patience) }
