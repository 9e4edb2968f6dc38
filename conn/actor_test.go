package conn

import (
	"errors"
	"strings"

	"github.com/weir-go/weir/internal/sock"
)

// handler makes a Handler with the optional interfaces that the script has
// something to do for.
func (a *actor) handler() Handler {
	hooks := a.s.hooks[a.name]
	has := func(event string) bool { _, ok := hooks[event]; return ok }
	e, d, s := eofHook{a}, drainedHook{a}, shutdownHook{a}
	switch [3]bool{has("eof"), has("drained"), has("shutdown")} {
	case [3]bool{true, false, false}:
		return struct {
			*actor
			eofHook
		}{a, e}
	case [3]bool{false, true, false}:
		return struct {
			*actor
			drainedHook
		}{a, d}
	case [3]bool{false, false, true}:
		return struct {
			*actor
			shutdownHook
		}{a, s}
	case [3]bool{true, true, false}:
		return struct {
			*actor
			eofHook
			drainedHook
		}{a, e, d}
	case [3]bool{false, false, false}:
		return a
	}
	return struct {
		*actor
		eofHook
		drainedHook
		shutdownHook
	}{a, e, d, s}
}

type (
	eofHook      struct{ of *actor }
	drainedHook  struct{ of *actor }
	shutdownHook struct{ of *actor }
)

func (h eofHook) EOF(*Conn) error     { return h.of.event("eof") }
func (h drainedHook) Drained(*Conn)   { h.of.event("drained") }
func (h shutdownHook) Shutdown(*Conn) { h.of.event("shutdown") }
func (a *actor) event(e string) error { a.s.say(a, "%s", e); return a.run(a.s.hooks[a.name][e]) }

// Data does what the script says, and echoes when it says nothing.
func (a *actor) Data(c *Conn) error {
	a.s.say(a, "data %s", show(c.Peek()))
	acts, ok := a.s.hooks[a.name]["data"]
	if !ok {
		acts = []string{"echo"}
	}
	return a.run(acts)
}

// Closed is called once, last.
func (a *actor) Closed(c *Conn, err error) {
	a.over++
	if a.over > 1 {
		a.s.t.Errorf("%s: Closed was called %d times", a.name, a.over)
	}
	a.s.say(a, "closed %s", short(err))
	a.run(a.s.hooks[a.name]["closed"])
}

// run does acts that are divided by semicolons, until one returns an error.
func (a *actor) run(words []string) error {
	for len(words) > 0 {
		n := 0
		for n < len(words) && words[n] != ";" && !strings.HasSuffix(words[n], ";") {
			n++
		}
		act := append([]string{}, words[:n]...)
		if n < len(words) {
			if word := strings.TrimSuffix(words[n], ";"); word != "" {
				act = append(act, word)
			}
			n++
		}
		words = words[n:]
		if err := a.act(act[0], act[1:]); err != nil {
			return err
		}
	}
	return nil
}

// act does one thing. The error is what the callback is to return.
func (a *actor) act(name string, args []string) error {
	s, c := a.s, a.c
	if other := s.conns[name]; other != nil { // somebody else does it
		return other.act(args[0], args[1:])
	}
	arg := strings.Join(args, " ")
	switch name {
	case "leave":
	case "error":
		return errors.New(arg)
	case "panic":
		panic(arg)
	case "goexit":
		exit()
	case "say":
		s.say(a, "%s", arg)
	case "open":
		s.open(args)
	case "peer": // somebody else's, as chance will have it
		s.peer(s.conns[args[0]], args[1], args[2:])
	case "write", "append", "writev", "shared", "echo":
		a.output(name, args)
	case "peek", "pending", "discard", "read":
		a.input(name, arg)
	case "post":
		a.result("post", c.Post(func(*Conn) { a.run(args) }))
	case "go": // go LABEL [panic|exit] or what to do then, in quotes when it is several acts
		then := strings.Fields(strings.Join(args[1:], " "))
		a.result("go", c.Go(func() {
			s.say(a, "work %s", args[0])
			switch strings.Join(then, " ") {
			case "panic":
				panic(args[0])
			case "exit":
				exit()
			}
		}, func() { s.say(a, "then %s", args[0]); a.run(then) }))
	case "handler": // a script of another name takes over
		other := &actor{s: s, name: args[0], c: c, peer: a.peer, b: a.b}
		s.cast(other)
		c.SetHandler(other.handler())
		a.over = 0
	case "block":
		a.b = c.Block()
	case "callback":
		a.result(name, a.b.Callback(a.handler()))
	case "bread", "bwrite", "bclose", "unread":
		a.blocking(name, arg)
	default:
		a.manage(name, arg)
	}
	return nil
}

// manage does what is about the connection's life.
func (a *actor) manage(name, arg string) {
	s, c := a.s, a.c
	switch name {
	case "close":
		a.result(name, c.Close())
	case "closewrite":
		a.result(name, c.CloseWrite())
	case "closeread":
		a.result(name, c.CloseRead())
	case "abort":
		a.result(name, c.Abort())
	case "fail":
		c.CloseWith(errors.New(arg))
	case "pause":
		c.Pause()
	case "resume":
		c.Resume()
	case "idle":
		c.SetIdle(s.duration(arg))
	case "rate":
		c.SetMinRate(s.rate(arg))
	case "detach":
		fd, left, err := c.Detach()
		a.result(name, err)
		if err == nil {
			s.say(a, "left %s", show(left))
			sock.Close(fd)
		}
	default:
		s.fatalf("no such act: %s", name)
	}
}

// result notes an error, if there was one.
func (a *actor) result(what string, err error) {
	if err != nil {
		a.s.say(a, "%s: %s", what, short(err))
	}
}

func (a *actor) output(name string, args []string) {
	c := a.c
	var n, all int
	var err error
	switch name {
	case "echo":
		all = len(c.Peek())
		n, err = c.Write(c.Peek())
		c.Discard(n)
	case "writev":
		var bufs [][]byte
		for _, arg := range args {
			bufs = append(bufs, a.s.text(arg))
			all += len(bufs[len(bufs)-1])
		}
		n, err = c.Writev(bufs...)
	case "shared":
		shared := NewShared(a.s.text(args[0]), func() { a.s.say(a, "freed") })
		a.result(name, c.WriteShared(shared))
		shared.Release()
	default:
		p := a.s.text(args[0])
		if all = len(p); name == "write" {
			n, err = c.Write(p)
		} else {
			n, err = c.Append(p)
		}
	}
	if err != nil {
		a.s.say(a, "%s: %d of %d, %s", name, n, all, short(err))
	} else if n != all {
		a.s.t.Errorf("%s took %d of %d without an error", name, n, all)
	}
}

func (a *actor) input(name, arg string) {
	s, c := a.s, a.c
	switch name {
	case "peek":
		s.say(a, "peek %s", show(c.Peek()))
	case "pending":
		s.say(a, "pending %d", c.Pending())
	case "discard":
		if arg == "all" {
			c.Discard(c.Buffered())
		} else {
			c.Discard(s.number(arg))
		}
	case "read":
		p := make([]byte, s.number(arg))
		n, err := c.Read(p)
		s.say(a, "took %s", strings.TrimSuffix(show(p[:n])+" "+short(err), " nil"))
	}
}

// blocking does what never waits: there is something to read, or room to
// write.
func (a *actor) blocking(name, arg string) {
	switch name {
	case "bread":
		p := make([]byte, a.s.number(arg))
		n, err := a.b.Read(p)
		a.s.say(a, "bread %s", strings.TrimSuffix(show(p[:n])+" "+short(err), " nil"))
	case "bwrite":
		_, err := a.b.Write(a.s.text(arg))
		a.result(name, err)
	case "unread":
		a.b.Unread(a.s.text(arg))
	case "bclose":
		a.result(name, a.b.Close())
	}
}
