package h2

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// do is something the Core's owner does.
func (p *player) do(name string, args []string) {
	c := &p.w.core
	o := p.options(args)
	switch name {
	case "open":
		st := &flow{}
		st.Owner = st
		if err := c.Open(&st.Stream, nil, o.end); err != nil {
			p.w.note("open: %v", err)
			return
		}
		p.w.all[st.ID()] = st
	case "respond":
		var block []byte
		for _, f := range o.rest[1:] {
			n, v, _ := strings.Cut(f, "=")
			block = AppendField(block, n, v)
		}
		c.SendHeaders(p.stream(args[0]), block, o.end)
	case "send":
		c.SendData(p.stream(args[0]), make([]byte, p.num(args[1])), o.end)
	case "reset":
		c.Reset(p.stream(args[0]), p.code(args[1]))
	case "release":
		c.Release(p.stream(args[0]))
	case "consume":
		c.Consume(p.stream(args[0]), p.num(args[1]))
	case "conn":
		c.ConsumeConn(p.num(args[0]))
	default:
		p.doMore(name, args)
	}
}

func (p *player) doMore(name string, args []string) {
	c := &p.w.core
	switch name {
	case "windows":
		c.RaiseConn(int32(p.num(args[0])))
	case "widen":
		c.Widen(c.Find(uint32(p.num(args[0]))), int32(p.num(args[1])), len(args) > 2)
	case "goaway":
		c.GoAway(uint32(p.num(args[0])), NoError, "")
	case "ping":
		c.Ping([8]byte([]byte(args[0])))
	case "fail":
		c.Fail(p.code(args[0]), args[1])
	case "wait":
		d, err := time.ParseDuration(args[0])
		if err != nil {
			p.t.Fatal(err)
		}
		p.w.now += int64(d)
	case "refuse":
		p.w.refuse = true
	case "react":
		p.w.react = func(event string, st *flow) {
			if event == args[0] {
				this := slices.Clone(args)
				if i := slices.Index(this, "@"); i > 0 {
					this[i] = fmt.Sprint(st.ID())
				}
				p.do(this[1], this[2:])
			}
		}
	case "repeat":
		p.repeat(p.num(args[0]), args[1], args[2:])
	case "show":
		p.show()
	case "together":
		p.hold = true
	case "now":
		p.hold = false
		p.in(p.held)
	default:
		p.t.Fatalf("no such command: %s", name)
	}
}

// repeat writes down the last time only. A + stands for the next odd number.
func (p *player) repeat(n int, name string, args []string) {
	for i := range n {
		keep := len(p.w.trace)
		a := slices.Clone(args)
		for j := range a {
			if first, ok := strings.CutPrefix(a[j], "+"); ok {
				a[j] = fmt.Sprint(p.num(first) + 2*i)
			}
		}
		p.command(name, a)
		if p.w.failed {
			p.w.note("the %dth time", i+1)
			return
		}
		if i < n-1 {
			p.w.trace = p.w.trace[:keep]
		}
	}
}

func (p *player) show() {
	c := &p.w.core
	var ids []int
	for _, st := range c.Streams(nil) {
		ids = append(ids, int(st.ID()))
	}
	slices.Sort(ids)
	for _, id := range ids {
		st := c.Find(uint32(id))
		p.w.note("stream %d %v quota %d", id, st.State(), c.Quota(st))
	}
	p.w.note("%d open, %d active, may receive %d, owe %d, may send %d", c.Len(), c.Active(), c.recvWindow, c.recvOwed, c.ConnQuota())
}
