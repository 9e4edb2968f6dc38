package conn

import (
	"runtime"
	"strings"
	"time"

	"github.com/weir-go/weir/poller"
)

// watch looks at the loops now and then. A loop that it finds in the same
// callback of the same turn for longer than Config.SlowCallback is reported,
// once for each such callback, while it still holds the loop: with the stack of
// the loop's goroutine, which names the culprit. The loops pay nothing for it
// but the note of whose callback runs, which writers need as well.
func (rt *Runtime) watch() {
	defer rt.loops.Done()
	tick := time.NewTicker(rt.watchTick())
	defer tick.Stop()
	seen := make([]sighting, len(rt.all))
	for {
		select {
		case <-rt.stop:
			return
		case now := <-tick.C:
			for i, l := range rt.all {
				seen[i] = l.look(seen[i], now)
			}
		}
	}
}

// sighting is a callback that the watchdog has seen running.
type sighting struct {
	turn     uint64
	token    uint64
	since    time.Time
	reported bool
}

func (l *loop) look(last sighting, now time.Time) sighting {
	tok, turn := l.current.Load(), l.turnSeq.Load()
	if tok == 0 {
		return sighting{}
	}
	if tok != last.token || turn != last.turn {
		return sighting{turn: turn, token: tok, since: now}
	}
	running := now.Sub(last.since)
	if last.reported || running < l.rt.cfg.SlowCallback {
		return last
	}
	last.reported = true
	l.rt.slow.Add(1)
	if t := l.rt.cfg.Trace; t != nil && t.Slow != nil {
		s := SlowCallback{Loop: l.index, Running: running, Stack: l.stack()}
		if tok != nobodyToken {
			s.ID = l.id(poller.Token(tok))
		}
		t.Slow(s)
	}
	return last
}

// stack finds the loop's goroutine among all: by the number it bears in their
// dump, since nothing else names a goroutine from outside. The dump is bounded;
// in a process of very many goroutines the loop's may not be in it.
func (l *loop) stack() string {
	id := l.gid.Load()
	if id == nil {
		return ""
	}
	dump := make([]byte, 1<<20)
	dump = dump[:runtime.Stack(dump, true)]
	for _, g := range strings.Split(string(dump), "\n\n") {
		if strings.HasPrefix(g, *id) {
			return g
		}
	}
	return ""
}

// goroutineID returns the start of the calling goroutine's heading in a dump:
// "goroutine 18 ".
func goroutineID() string {
	var b [64]byte
	head := string(b[:runtime.Stack(b[:], false)])
	if i := strings.IndexByte(head, '['); i > 0 {
		return head[:i]
	}
	return ""
}
