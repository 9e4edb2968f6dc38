package conn

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-go/weir/internal/script"
	"github.com/weir-go/weir/internal/sock"
	"github.com/weir-go/weir/poller"
)

// TestGolden plays testdata/*.txt: commands to peers, connections and the loop,
// and the order of callbacks that they must lead to. The loop is turned by
// hand.
//
// A command is about the connection "c" unless it names another one first.
//
//	config KEY=VALUE...      of the Runtime; first
//	on [NAME] EVENT ACT; ... what a callback does: serve, data (else: echo), eof, drained,
//	                         shutdown, closed. The last four make the handler have the interface
//	open [NAME] [tcp|adopted] [KEY=VALUE...]  a connection with Options; c is opened by itself
//	peer [NAME] write TEXT | read | shutdown write | close | reset
//	clog, unclog [NAME]      fill the way to the peer, read all there is
//	turn [N], wait, pass D (of time), advance D (and turn), work (one piece of Go's), shutdown, force
//	[NAME] ACT               what a goroutine outside of callbacks does
//	stats FIELD...           print counters
//	mute WORD                leave lines that start so out of the trace
//
// The words of ACT are those of act, below.
func TestGolden(t *testing.T) {
	script.Run(t, "testdata/*.txt", func(t *testing.T, commands []script.Command) (trace []string) {
		// In a bubble time stands still but for advance. The loop's system
		// calls do not wait, or (wait) for something that comes.
		synctest.Test(t, func(t *testing.T) { trace = play(t, commands) })
		return trace
	})
}

func play(t *testing.T, commands []script.Command) []string {
	s := &scene{t: t, conns: map[string]*actor{}, hooks: map[string]map[string][]string{}, muted: map[string]bool{}}
	for _, cmd := range commands {
		s.at = cmd
		s.command(cmd.Name, cmd.Args)
	}
	s.closed = true
	return s.lines
}

// scene is where a script plays.
type scene struct {
	t      *testing.T
	r      *rig
	cfg    Config
	at     script.Command
	conns  map[string]*actor
	actors []*actor                       // the same in their order
	hooks  map[string]map[string][]string // connection, event: acts
	muted  map[string]bool
	works  []func() // given to the pool
	lines  []string
	closed bool
}

// actor is a connection of a script and what its handler does.
type actor struct {
	s    *scene
	name string
	c    *Conn
	b    *Blocking
	peer int
	over int // calls of Closed
}

func (s *scene) fatalf(format string, args ...any) {
	s.t.Fatalf("line %d: %s: %s", s.at.Line, s.at, fmt.Sprintf(format, args...))
}

// say adds a line to the trace.
func (s *scene) say(a *actor, format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if word, _, _ := strings.Cut(line, " "); s.closed || s.muted[word] {
		return
	}
	if a != nil && a.name != "c" {
		line = a.name + ": " + line
	}
	s.lines = append(s.lines, line)
}

// Submit makes the script its runtime's pool.
func (s *scene) Submit(work func()) error {
	if len(s.works) == 4 {
		return ErrBusy
	}
	s.works = append(s.works, work)
	return nil
}

func (s *scene) command(name string, args []string) {
	switch name {
	case "config":
		s.config(args)
		return
	case "mute":
		s.muted[args[0]] = true
		return
	case "on":
		s.hook(args)
		return
	}
	if s.r == nil {
		s.start()
	}
	if name == "open" {
		s.open(args)
		return
	}
	if len(s.conns) == 0 {
		s.open(nil)
	}
	if s.ofLoop(name, args) {
		return
	}
	if a := s.conns[name]; a != nil {
		name, args = args[0], args[1:]
		s.outside(a, name, args)
		return
	}
	s.outside(s.conns["c"], name, args)
}

func (s *scene) start() {
	s.cfg.Pool = s
	s.cfg.Trace = &Trace{
		Read:  func(c *Conn, n int) { s.say(s.of(c), "read %d", n) },
		Wrote: func(c *Conn, n int) { s.say(s.of(c), "wrote %d", n) },
		Panic: func(c *Conn, p *PanicError) { s.say(s.of(c), "%s", short(p)) },

		Lingering: func(c *Conn) { s.say(s.of(c), "lingering") },
	}
	s.r = newRig(s.t, s.cfg)
}

// cast adds an actor.
func (s *scene) cast(a *actor) {
	s.conns[a.name] = a
	s.actors = append(s.actors, a)
}

// of finds whose connection c is, by now.
func (s *scene) of(c *Conn) *actor {
	for _, a := range slices.Backward(s.actors) {
		if a.c == c {
			return a
		}
	}
	return nil
}

// ofLoop does commands that are about no connection.
func (s *scene) ofLoop(name string, args []string) bool {
	switch name {
	case "turn":
		n := 1
		if len(args) > 0 {
			n = s.number(args[0])
		}
		for range n {
			s.r.turn()
		}
	case "wait":
		s.r.wait()
	case "advance":
		<-time.After(s.duration(args[0]))
		s.r.turn()
	case "work":
		if len(s.works) == 0 {
			s.fatalf("no work")
		}
		work := s.works[0]
		s.works = s.works[1:]
		done := make(chan struct{})
		go func() { defer close(done); work() }()
		<-done
	case "shutdown":
		s.r.rt.mu.Lock()
		s.r.rt.draining = true
		s.r.rt.mu.Unlock()
		s.r.rt.seal()
	case "force":
		s.r.l.send(task{run: s.r.l.endConns}, 0)
	case "ended":
		select {
		case <-s.r.rt.empty:
			s.say(nil, "ended yes")
		default:
			s.say(nil, "ended no")
		}
	case "pass": // time, without a turn
		<-time.After(s.duration(args[0]))
	case "say":
		s.say(nil, "%s", strings.Join(args, " "))
	case "clog":
		clog(s.t, s.named(args).c)
	case "unclog":
		hear(s.named(args).peer)
	case "stats":
		s.stats(args)
	default:
		return false
	}
	return true
}

// named is the connection that a command's arguments name, c when they don't.
func (s *scene) named(args []string) *actor {
	name := "c"
	if len(args) > 0 {
		name = args[0]
	}
	a := s.conns[name]
	if a == nil {
		s.fatalf("no such connection")
	}
	return a
}

func (s *scene) stats(names []string) {
	st := s.r.rt.Stats()
	all := map[string]any{
		"conns": st.Conns, "opened": st.Opened, "closed": st.Closed, "budget": st.BudgetUsed, "full": st.Full,
		"refusals": st.BudgetRefusals, "pauses": st.ReadPauses, "idle": st.IdleCloses, "slow": st.SlowCloses,
		"aborts": st.Aborts, "panics": st.Panics, "postbusy": st.PostBusy, "poolbusy": st.PoolBusy,
		"handler": st.RefusedHandler, "stale": st.Loops[0].Stale, "working": st.Working,
		"lingering": st.Lingering, "lingered": st.Lingered, "lingertime": st.LingerTimeouts,
		"lingerbytes": st.LingerOverruns, "lingerfull": st.LingerRefusals,
	}
	for _, name := range names {
		v, ok := all[name]
		if !ok {
			s.fatalf("no such counter")
		}
		s.say(nil, "%s %d", name, v)
	}
}

// hook notes what a callback is to do.
func (s *scene) hook(args []string) {
	name := "c"
	if len(args[0]) == 1 {
		name, args = args[0], args[1:]
	}
	if s.hooks[name] == nil {
		s.hooks[name] = map[string][]string{}
	}
	s.hooks[name][args[0]] = args[1:]
}

func (s *scene) open(args []string) {
	name, o, tcp, adopted := "c", Options{}, false, false
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "tcp":
			tcp = true
		case "adopted":
			adopted = true
		case "high":
			o.HighWater = s.number(value)
		case "low":
			o.LowWater = s.number(value)
		case "in":
			o.InLimit = s.number(value)
		case "idle":
			o.Idle = s.duration(value)
		case "rate":
			o.MinRate = s.rate(value)
		default:
			name = arg
		}
	}
	a := &actor{s: s, name: name}
	s.cast(a)
	serve := func(c *Conn) Handler {
		a.c, c.adopted = c, adopted
		if acts, ok := s.hooks[name]["serve"]; ok {
			s.say(a, "serve")
			if len(acts) == 1 && acts[0] == "refuse" {
				return nil
			}
			a.run(acts)
			if a.b != nil {
				return nil
			}
		}
		return a.handler()
	}
	if tcp {
		_, a.peer = s.r.tcp(o, serve)
		s.r.turn() // the edge that every fresh socket has
	} else {
		_, a.peer = s.r.pair(o, serve)
	}
}

// outside does what peers and other goroutines do.
func (s *scene) outside(a *actor, name string, args []string) {
	if name == "peer" {
		if other := s.conns[args[0]]; other != nil {
			a, args = other, args[1:]
		}
		s.peer(a, args[0], args[1:])
		return
	}
	if a == nil {
		s.fatalf("no such connection")
	}
	switch name {
	case "event": // as the kernel might have had in store
		s.r.step(func() { s.r.l.dispatch(&poller.Event{Token: a.c.token, Ready: poller.Readable}) })
	default:
		a.act(name, args)
	}
}

func (s *scene) peer(a *actor, verb string, args []string) {
	switch verb {
	case "write":
		say(s.t, a.peer, s.text(args[0]))
	case "read":
		p, err := hear(a.peer)
		s.say(a, "peer read %s", strings.TrimSuffix(show(p)+" "+short(err), " nil"))
	case "shutdown":
		sock.ShutdownWrite(a.peer)
	case "close":
		s.r.closePeer(a.peer)
	case "reset":
		sock.SetLinger(a.peer, 0)
		s.r.closePeer(a.peer)
	default:
		s.fatalf("no such verb")
	}
}

// exit ends the goroutine of a callback.
func exit() { runtime.Goexit() }
