package conn

import (
	"runtime"
	"strings"
	"time"

	"github.com/weir-go/weir/poller"
)

// A loop that the watchdog finds in the same callback of the same turn for
// longer than Config.SlowCallback is reported, once for each such callback,
// while it still holds the loop: with the stack of the loop's goroutine, which
// names the culprit. The loops pay nothing for it but the note of whose callback
// runs, which writers need as well.
//
// On a process with one P each look interrupts a busy loop, and twenty a second
// cost 2 % of it. So the watchdog looks once a second, and in earnest only when
// there is a reason: a callback that it saw running, or the alarm of a loop
// that had a turn longer than SlowCallback. A callback that holds its loop for
// good is named within about a second; one that holds it for less, when it does
// so again within a while.
const (
	watchCalm  = time.Second      // between looks
	watchAlert = 10 * time.Second // how long an alarm keeps the watchdog awake
)

// watch is the watchdog's goroutine.
func (rt *Runtime) watch() {
	defer rt.loops.Done()
	calm := max(watchCalm, rt.cfg.SlowCallback)
	alert := max(rt.cfg.SlowCallback/2, time.Millisecond)
	look := time.NewTimer(calm)
	defer look.Stop()
	seen := make([]sighting, len(rt.all))
	var until time.Time
	for {
		select {
		case <-rt.stop:
			return
		case <-rt.alarm:
			until = time.Now().Add(watchAlert)
			look.Reset(alert)
		case now := <-look.C:
			next := calm
			if now.Before(until) {
				next = alert
			}
			for i, l := range rt.all {
				seen[i] = l.look(seen[i], now)
				if seen[i].token != 0 && !seen[i].reported {
					next = alert // see whether it is still there
				}
			}
			look.Reset(next)
		}
	}
}

// slowTurn counts a turn that took longer than one callback may, and alarms the
// watchdog.
func (l *loop) slowTurn() {
	l.count.slowTurns++
	select {
	case l.rt.alarm <- struct{}{}:
	default:
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
