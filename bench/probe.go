package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"time"

	"github.com/weir-go/weir/bench/internal/lateness"
	"github.com/weir-go/weir/bench/internal/life"
	"github.com/weir-go/weir/bench/internal/proc"
)

// A probe is one measurement in a process of its own, which takes a job and gives a result:
//
//	bench                          bench probe heap {job}
//	starts it                 ──►  measures
//	                          ◄──  result as JSON on one line
//	closes its input          ──►  ends
//
// A rival of bench/rivals that takes part in such a case is called in the same way, without the word probe.
var probes = map[string]func(job []byte) (any, error){
	"heap": func(job []byte) (any, error) {
		var j heapJob
		if err := json.Unmarshal(job, &j); err != nil {
			return nil, err
		}
		made, ok := life.Structures[j.Subject]
		if !ok {
			return nil, fmt.Errorf("no structure is called %q", j.Subject)
		}
		return j.Run(made)
	},
	"clock": func(job []byte) (any, error) {
		var j clockJob
		if err := json.Unmarshal(job, &j); err != nil {
			return nil, err
		}
		return life.MeasurePairs(j.Subject, j.PairJob)
	},
	"frames": func(job []byte) (any, error) {
		var j framesJob
		if err := json.Unmarshal(job, &j); err != nil {
			return nil, err
		}
		return j.run()
	},
	"ticker": func(job []byte) (any, error) {
		var j lateness.Job
		if err := json.Unmarshal(job, &j); err != nil {
			return nil, err
		}
		return j.Run()
	},
}

// probe is the measuring process.
func probe(args []string, in io.Reader, out io.Writer) error {
	if len(args) != 2 || probes[args[0]] == nil {
		return errors.New("probe takes a kind of measurement and a job")
	}
	result, err := probes[args[0]]([]byte(args[1]))
	if err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(result); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

// ask runs a probe with all cores and takes its result. expected is how long the measurement itself takes. The usage
// is of the whole probe.
func (b *bench) ask(command []string, job, result any, expected time.Duration) (proc.Usage, error) {
	return b.askAt(everywhere(), command, job, result, expected)
}

// askAt is ask with the cores that the place says.
func (b *bench) askAt(at place, command []string, job, result any, expected time.Duration) (u proc.Usage, err error) {
	text, err := json.Marshal(job)
	if err != nil {
		return u, err
	}
	cmd := exec.Command(command[0], append(command[1:len(command):len(command)], string(text))...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(at.procs))
	p, err := proc.Start(cmd, at.core)
	if err != nil {
		return u, err
	}
	watch := proc.NewWatch(p.PID(), os.Getpid())
	watch.Begin()
	line, err := p.Line(patience + expected)
	if err != nil {
		return u, errors.Join(err, p.Stop(patience))
	}
	u = watch.End()
	defer stop(p, &err)
	return u, json.Unmarshal([]byte(line), result)
}

// burn is a process that keeps one core busy until its input ends.
func burn(in io.Reader, out io.Writer) error {
	over := make(chan struct{})
	go func() {
		bufio.NewReader(in).WriteTo(io.Discard)
		close(over)
	}()
	if _, err := fmt.Fprintln(out, wordBurning); err != nil {
		return err
	}
	for x := uint64(1); ; {
		for range 1 << 16 {
			x = x*6364136223846793005 + 1
		}
		select {
		case <-over:
			_, err := fmt.Fprintln(out, x) // so that it is computed
			return err
		default:
		}
	}
}

const wordBurning = "burning"

// fires are the processes that burn all cores.
type fires []*proc.Proc

// light starts as many as there are cores. Nothing holds them on one: the kernel spreads them as it would any others.
func (b *bench) light() (f fires, err error) {
	for range runtime.NumCPU() {
		cmd := exec.Command(b.self, "burn")
		cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
		p, err := proc.Start(cmd, proc.Anywhere)
		if err == nil {
			f = append(f, p)
			_, err = p.Line(patience)
		}
		if err != nil {
			return nil, errors.Join(err, f.quench())
		}
	}
	return f, nil
}

func (f fires) pids() []int {
	var list []int
	for _, p := range f {
		list = append(list, p.PID())
	}
	return list
}

func (f fires) quench() error {
	var all error
	for _, p := range f {
		all = errors.Join(all, p.Stop(patience))
	}
	return all
}
