// Command timingwheel is github.com/RussellLuo/timingwheel in the area timer: a hierarchical timing wheel with a
// goroutine of its own. It is built only where its source is given: go run ./bench timer -source timingwheel=FOLDER.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/RussellLuo/timingwheel"

	"github.com/weir-go/weir/bench/internal/life"
	"github.com/weir-go/weir/timer"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "timingwheel:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("takes one job")
	}
	var j life.Job
	if err := json.Unmarshal([]byte(args[0]), &j); err != nil {
		return err
	}
	w := &wheel{tw: timingwheel.NewTimingWheel(time.Millisecond, 20), done: make(chan struct{})}
	w.tw.Start()
	defer w.tw.Stop()
	figures, err := j.Run(w.of)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(figures); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// wheel is a timing wheel of 20 slots a level and a tick of a millisecond, as in its own benchmarks. Each timer that
// fires runs on a goroutine of its own, so there is no order to check; and it fires by the wall clock, so it is far
// away until ComeUp, as the runtime's timers are.
type wheel struct {
	*life.Plan
	life.Lines[at]
	tw    *timingwheel.TimingWheel
	ts    []at
	fired atomic.Int64
	done  chan struct{}
}

// at is where a user keeps a timer: a new one takes its place when it is pushed on.
type at struct{ *timingwheel.Timer }

func (w *wheel) of(p *life.Plan) life.Structure {
	w.Plan, w.ts = p, make([]at, p.All())
	return w
}

func (w *wheel) Embedded() int { return 0 }

func (w *wheel) fire() {
	if w.fired.Add(1) == int64(w.N) {
		w.done <- struct{}{}
	}
}

func (w *wheel) Others() {
	for i := w.N; i < len(w.ts); i++ {
		w.ts[i].Timer = w.tw.AfterFunc(10000*life.Far+time.Duration(i)*time.Second, w.fire)
	}
}

func (w *wheel) Set(timer.Time) {
	fire, ts := w.fire, w.ts[:len(w.Whens)]
	for i, when := range w.Whens {
		ts[i].Timer = w.tw.AfterFunc(life.Far+time.Duration(when), fire)
	}
}

func (w *wheel) Line() { w.Lines.Line(w.Plan, func(i int32) *at { return &w.ts[i] }) }

// PushOn stops a timer and sets another: there is no Reset.
func (w *wheel) PushOn(timer.Time) {
	fire, heard := w.fire, w.Lines.Heard
	for left := w.Later; len(left) > 0; left = left[w.N:] {
		later := left[:len(heard)]
		for i, t := range heard {
			t.Stop()
			t.Timer = w.tw.AfterFunc(life.Far+time.Duration(later[i]), fire)
		}
	}
}

func (w *wheel) Stop() (stopped int) {
	for _, t := range w.Lines.Ended {
		if t.Stop() {
			stopped++
		}
	}
	return stopped
}

func (w *wheel) ComeUp(timer.Time) (fired, wrong int) {
	w.fired.Store(0)
	fire, ts := w.fire, w.ts[:len(w.Whens)]
	for i, when := range w.Whens {
		ts[i].Timer = w.tw.AfterFunc(w.Soon(when), fire)
	}
	<-w.done
	return int(w.fired.Load()), 0
}
