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
	tw    *timingwheel.TimingWheel
	ts    []*timingwheel.Timer
	fired atomic.Int64
	done  chan struct{}
}

func (w *wheel) of(p *life.Plan) life.Structure {
	w.Plan, w.ts = p, make([]*timingwheel.Timer, p.All())
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
		w.ts[i] = w.tw.AfterFunc(10000*life.Far+time.Duration(i)*time.Second, w.fire)
	}
}

func (w *wheel) Set(timer.Time) {
	fire := w.fire
	for i, when := range w.Whens {
		w.ts[i] = w.tw.AfterFunc(life.Far+time.Duration(when), fire)
	}
}

// PushOn stops a timer and sets another: there is no Reset.
func (w *wheel) PushOn(timer.Time) {
	fire, later := w.fire, w.Later
	for range life.Pushes {
		for i, x := range w.Heard {
			w.ts[x].Stop()
			w.ts[x] = w.tw.AfterFunc(life.Far+time.Duration(later[i]), fire)
		}
		later = later[w.N:]
	}
}

func (w *wheel) Stop() (stopped int) {
	for _, x := range w.Ended {
		if w.ts[x].Stop() {
			stopped++
		}
	}
	return stopped
}

func (w *wheel) ComeUp(timer.Time) (fired, wrong int) {
	w.fired.Store(0)
	fire := w.fire
	begin, first := time.Now(), time.Duration(w.N)*life.Spread+time.Millisecond
	for i, when := range w.Whens {
		w.ts[i] = w.tw.AfterFunc(first-time.Since(begin)+w.Soon(when), fire)
	}
	<-w.done
	return int(w.fired.Load()), 0
}
