package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/weir-go/weir/bench/internal/proc"
	"github.com/weir-go/weir/conn"
	loads "github.com/weir-go/weir/internal/drive"
)

// drive is the driver process: it carries out one job (see type job for the conversation) on a runtime of one loop.
func drive(args []string, in io.Reader, out io.Writer) error {
	var j job
	if len(args) != 1 {
		return errors.New("drive takes one job")
	}
	if err := json.Unmarshal([]byte(args[0]), &j); err != nil {
		return err
	}
	cfg, err := j.config()
	if err != nil {
		return err
	}
	rt, err := conn.Start(conn.Config{Loops: 1})
	if err != nil {
		return err
	}
	defer rt.Close()
	load, err := loads.Open(context.Background(), rt, cfg)
	if err != nil {
		return err
	}
	defer load.Close()
	if _, err := fmt.Fprintln(out, wordOpen); err != nil {
		return err
	}
	words := bufio.NewScanner(in)
	for words.Scan() && words.Text() == wordGo {
		r, err := j.measure(load)
		if err != nil {
			return err
		}
		if err := json.NewEncoder(out).Encode(r); err != nil {
			return err
		}
	}
	return words.Err()
}

var modes = map[string]loads.Mode{"echo": loads.Echo, "churn": loads.Churn, "idle": loads.Idle}

func (j job) config() (loads.Config, error) {
	mode, ok := modes[j.Mode]
	if !ok {
		return loads.Config{}, fmt.Errorf("no mode is called %q", j.Mode)
	}
	to, err := conn.ParseAddr("tcp://" + j.Addr)
	if err != nil {
		return loads.Config{}, err
	}
	return loads.Config{To: to, Mode: mode, Conns: j.Conns, Size: j.Size, Pipeline: j.Pipeline, Rate: j.Rate}, nil
}

// measure warms up and opens one window. Nothing is under way when the watch begins and when it ends, so the CPU
// time between belongs to the messages counted between, those that came back after the window had closed included.
func (j job) measure(load *loads.Load) (*result, error) {
	r := &result{}
	if j.Warm > 0 {
		if _, err := j.window(load, j.Warm, r); err != nil {
			return nil, err
		}
	}
	watch := proc.NewWatch(j.Server, os.Getpid())
	var m loads.Result
	// A busy machine may let a short window pass without an answer.
	for end := time.Now().Add(patience / 2); ; {
		watch.Begin()
		var err error
		if m, err = j.window(load, j.Window, r); err != nil {
			return nil, err
		}
		r.Usage = watch.End()
		if m.Requests > 0 || r.Errors+r.Wrong > 0 || time.Now().After(end) {
			break
		}
	}
	r.Counted = m.Latency.Count()
	r.Rate = m.Rate
	r.P50, r.P99, r.P999, r.Max = m.Latency.P50(), m.Latency.P99(), m.Latency.P999(), m.Latency.Max()
	return r, nil
}

// window measures once and adds what went wrong to r: a warm-up's errors count as well.
func (j job) window(load *loads.Load, d time.Duration, r *result) (loads.Result, error) {
	m, err := load.Measure(context.Background(), d)
	r.All += m.Latency.Count()
	r.Errors += m.Errors
	r.Wrong += m.Mismatches
	if r.Why == "" && m.Failure != nil {
		r.Why = m.Failure.Error()
	}
	return m, err
}
