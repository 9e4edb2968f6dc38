// Command idem measures what it costs to do something once, and sagas: one measurement a process.
//
//	idem {job} ─► warm-up, then the window ─► result as JSON on one line ─► waits for the end of its input
package main

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-go/weir/bench/rivals/internal/probe"
)

// job is what to measure.
type job struct {
	Subject string        // a key of subjects
	Addr    string        // of redis-server: host and port, or the path of a socket
	Dir     string        // for files
	Callers int           // goroutines, each of which does one thing after the other
	Warm    time.Duration // not counted
	Window  time.Duration
}

// result is what was seen in the window. Times are nanoseconds.
type result struct {
	Ops   uint64
	Rate  float64 // a second
	P50   float64
	P99   float64
	CPU   float64 // of this process, user and system, for each op
	Syncs float64 // fsyncs for each op; -1: there are no files
}

// subject is something that can be done over and over, each time with another number.
type subject struct {
	once  func(n uint64) error
	syncs func() uint64 // so far; nil: there are no files
	close func() error
}

var subjects = map[string]func(job) (*subject, error){
	"std": unsafeOnce, "netconn": unsafeOnce, "idem": safeOnce, "pooled": safeOnce,
	"files": sagas, "files-redis": sagas,
}

func main() { probe.Main("idem", run) }

func run(j job) (any, error) {
	open := subjects[j.Subject]
	if open == nil || j.Callers < 1 {
		return nil, fmt.Errorf("subject %q, %d callers", j.Subject, j.Callers)
	}
	s, err := open(j)
	if err != nil {
		return nil, err
	}
	r, err := j.measure(s)
	return r, errors.Join(err, s.close())
}

// caller is one goroutine's latencies, of the window only.
type caller struct {
	took []time.Duration
	err  error
	_    [64]byte // callers do not share a cache line
}

// measure has all callers at it, and looks at the clocks at both ends of the window.
func (j job) measure(s *subject) (result, error) {
	var (
		all  = make([]caller, j.Callers)
		n    atomic.Uint64
		done atomic.Uint64 // within the window
		open atomic.Bool   // the window is
		over atomic.Bool
		wg   sync.WaitGroup
	)
	for i := range all {
		wg.Go(func() {
			c := &all[i]
			for !over.Load() && c.err == nil {
				counted, began := open.Load(), time.Now()
				c.err = s.once(n.Add(1))
				if counted && c.err == nil {
					c.took = append(c.took, time.Since(began))
					done.Add(1)
				}
			}
			if c.err != nil {
				over.Store(true)
			}
		})
	}
	time.Sleep(j.Warm)
	before := look(s, n.Load())
	open.Store(true)
	time.Sleep(j.Window)
	// A window that is shorter than what is measured goes on until that is done.
	for until := time.Now().Add(10 * time.Second); done.Load() == 0 && !over.Load() && time.Now().Before(until); {
		time.Sleep(j.Window)
	}
	after := look(s, n.Load())
	over.Store(true)
	wg.Wait()
	var took []time.Duration
	for i := range all {
		if all[i].err != nil {
			return result{}, all[i].err
		}
		took = append(took, all[i].took...)
	}
	if len(took) == 0 || after.ops == before.ops {
		return result{}, errors.New("nothing was done in the window")
	}
	slices.Sort(took)
	ops := float64(after.ops - before.ops)
	r := result{Ops: after.ops - before.ops, Rate: ops / after.at.Sub(before.at).Seconds(), Syncs: -1,
		P50: float64(took[len(took)/2]), P99: float64(took[len(took)*99/100]), CPU: float64(after.cpu-before.cpu) / ops}
	if s.syncs != nil {
		r.Syncs = float64(after.syncs-before.syncs) / ops
	}
	return r, nil
}

// sight is what is known at one instant.
type sight struct {
	at    time.Time
	cpu   time.Duration
	ops   uint64
	syncs uint64
}

func look(s *subject, ops uint64) sight {
	l := sight{at: time.Now(), cpu: probe.CPU(), ops: ops}
	if s.syncs != nil {
		l.syncs = s.syncs()
	}
	return l
}
