package stream

import (
	"testing"
	"time"

	"github.com/weir-go/weir/internal/h2"
)

// callerChaos plays a tape against a Client: servers that send whatever they like,
// and a user who does whatever he likes.
type callerChaos struct {
	t    *testing.T
	g    *stage
	tape []byte
	open int // handlers that are owed Closed
	all  []*Stream
}

func (c *callerChaos) byte() (b byte) {
	if len(c.tape) > 0 {
		b, c.tape = c.tape[0], c.tape[1:]
	}
	return b
}

// callerFate is the handler of one call.
type callerFate struct {
	c      *callerChaos
	headed bool
	closed bool
}

func (x *callerFate) Headers(st *Stream) error {
	if x.closed || x.headed {
		x.c.t.Error("Headers twice, or after Closed")
	}
	x.headed = true
	return x.c.user(st)
}

func (x *callerFate) Message(st *Stream, m []byte) error {
	if x.closed || !x.headed {
		x.c.t.Error("Message after Closed, or before Headers")
	}
	return x.c.user(st)
}

func (x *callerFate) Drained(st *Stream) {
	if x.closed {
		x.c.t.Error("Drained after Closed")
	}
	x.c.user(st)
}

func (x *callerFate) Closed(st *Stream, err error) {
	if x.closed {
		x.c.t.Error("Closed twice")
	}
	x.closed = true
	x.c.open--
	x.c.user(st)
}

func (c *callerChaos) start() {
	o := CallOptions{WaitForReady: c.byte()%4 == 0}
	if c.byte()%8 == 0 {
		o.Compressor = "gzip"
	}
	if c.byte()%8 == 0 {
		o.Timeout = time.Hour
	}
	c.open++
	st, err := c.g.c.Start("/c/Call", o, &callerFate{c: c})
	if err != nil {
		c.open--
		return
	}
	c.all = append(c.all, st)
}

func (c *callerChaos) user(st *Stream) error {
	n := int(c.byte())
	switch c.byte() % 16 {
	case 0, 1, 2:
		if st.flags&headerSent != 0 {
			st.Emit(make([]byte, n*3))
		}
	case 3, 4, 5, 6:
		st.Send(make([]byte, n*5))
	case 7:
		x := NewMessage(make([]byte, n*40))
		st.SendMessage(x)
		x.Release()
	case 8:
		st.CloseSend()
	case 9:
		st.Cancel()
	case 10:
		return &Status{Code: Aborted}
	case 11:
		st.Post(func(st *Stream) { c.user(st) })
	case 12:
		if n < 20 {
			panic("chaos")
		}
	case 13:
		if c.open < 30 {
			c.start()
		}
	}
	return nil
}

// server lets one of the servers do something.
func (c *callerChaos) server(f *far) {
	id := 2*uint32(c.byte()) + 1
	if open := f.s.core.Streams(nil); len(open) > 0 && id < 500 { // seldom another
		id = open[int(id)%len(open)].ID()
	} else if id < 500 {
		return
	}
	what := c.byte() % 16
	if what >= 2 && what <= 6 && !f.answered[id] && c.byte() > 10 {
		what = 0
	}
	switch what {
	case 0, 1:
		if !f.answered[id] || c.byte() < 10 {
			f.answer(id, "")
		}
	case 2, 3, 4:
		n := int(c.byte())
		p := h2.AppendData(nil, id, message(string(make([]byte, n*n/8))), c.byte()%16 == 0)
		cut := int(c.byte()) * len(p) / 256
		f.feed(p[:cut])
		f.feed(p[cut:])
	case 5, 6:
		f.finish(id, []string{"0", "0", "5", "x"}[c.byte()%4])
	case 7, 8:
		f.refuse(id)
	case 9:
		f.feed(h2.AppendRSTStream(nil, id, h2.Code(c.byte()%16)))
	case 10:
		f.feed(h2.AppendWindowUpdate(nil, id*uint32(c.byte()%2), uint32(c.byte())*300+1))
	case 11:
		f.feed(h2.AppendSettings(nil, limit(uint32(c.byte()%8)), h2.Setting{ID: h2.SettingInitialWindowSize, Value: uint32(c.byte()) * 300}))
	case 12:
		if c.byte() < 10 {
			f.feed(h2.AppendGoAway(nil, id, h2.NoError, ""))
		}
	case 13:
		if c.byte() < 5 {
			f.lose()
		}
	case 14:
		f.l.room = int(c.byte())*20 - 1
		if f.l.room < 0 || c.byte()%2 == 0 {
			f.s.Drained()
		}
	case 15:
		if c.byte() < 5 {
			b := make([]byte, c.byte()%40)
			for i := range b {
				b[i] = c.byte()
			}
			f.feed(b)
		}
	}
}

func (c *callerChaos) step() {
	defer uncaught() // the user's code outside of callbacks
	switch what := c.byte() % 16; {
	case what < 2 && c.open < 30:
		c.start()
	case what < 4 && len(c.all) > 0:
		c.user(c.all[int(c.byte())%len(c.all)])
	case what == 4 && c.g.dial() != nil:
		if c.byte()%4 == 0 {
			c.g.fail()
		} else if len(c.g.fars) < 20 {
			c.g.connect(limit(uint32(c.byte()%6 + 1)))
		}
	case what == 5:
		c.g.settle()
	case what == 6 && c.g.c.cooling != nil:
		c.g.c.cooling.Stop()
		c.g.c.warm()
	case what == 7 && len(c.g.fars) > 0:
		f := c.g.fars[int(c.byte())%len(c.g.fars)]
		if !f.lost {
			f.pass(time.Duration(c.byte()) * time.Second / 16)
		}
	case len(c.g.fars) > 0:
		f := c.g.fars[len(c.g.fars)-1-int(c.byte())%min(2, len(c.g.fars))]
		if !f.lost && !f.l.closed {
			c.server(f)
		}
	}
}

func (c *callerChaos) play() ClientStats {
	c.g = newStage(c.t, ClientConfig{
		Config:  Config{SendLimit: 700, MaxRecv: 3000, StreamWindow: 3000, SessionBudget: 20_000, MaxIdle: 5 * time.Second, PanicReport: strange(c.t)},
		Backoff: Backoff{Min: time.Hour, Max: time.Hour}, MaxWaiting: 10,
	})
	c.start()
	for len(c.tape) > 0 {
		c.step()
	}
	c.g.end()
	if c.open != 0 {
		c.t.Errorf("%d handlers were not closed", c.open)
	}
	for _, st := range c.all {
		if st.flags&ended == 0 || st.head != nil || st.in != nil || st.queued.Load() != 0 || st.method.out.kept != nil {
			c.t.Errorf("a stream at the end: flags %b, %d bytes queued", st.flags, st.queued.Load())
		}
	}
	return c.g.c.Stats()
}

// Whatever servers and a user do, handlers are closed once and nothing is held.
func FuzzClient(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(randomTape(seed, 800))
	}
	f.Fuzz(func(t *testing.T, tape []byte) {
		if len(tape) > 4000 {
			t.Skip("long enough")
		}
		(&callerChaos{t: t, tape: tape}).play()
	})
}

func TestClientChaos(t *testing.T) {
	var total ClientStats
	for seed := range uint64(120) {
		s := (&callerChaos{t: t, tape: randomTape(seed, 3000)}).play()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
		total.Opened += s.Opened
		total.Received += s.Received
		total.Sent += s.Sent
		total.Full += s.Full
		total.Panics += s.Panics
		total.Retries += s.Retries
		total.GoAways += s.GoAways
		total.Connected += s.Connected
	}
	t.Logf("%+v", total)
	// A tape that does nothing would find nothing.
	if total.Opened < 1500 || total.Received < 500 || total.Sent < 1500 || total.Full < 50 || total.Panics < 5 || total.Retries < 100 || total.GoAways < 20 {
		t.Errorf("too little happened: %+v", total)
	}
}
