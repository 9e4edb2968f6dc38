package h2

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
)

// duel is a Core and the model of it, side by side.
type duel struct {
	t   *testing.T
	w   *witness
	m   *model
	enc Encoder
	log []string
}

func newDuel(t *testing.T) *duel {
	const many = 1 << 20
	w := newWitness(Config{MaxStreams: 4, StreamWindow: modelWindow, ConnWindow: modelConn,
		Resets: Rate{many, 1}, Settings: Rate{many, 1}, Pings: Rate{many, 1}, Chores: Rate{many, 1}})
	w.feed(AppendSettingsAck(AppendSettings([]byte(Preface))), 1<<20)
	return &duel{t: t, w: w, m: newModel(4)}
}

// step does one thing to both: four bytes say what.
func (d *duel) step(op, which, a, b byte) {
	id := uint32(which) % (modelIDs + 1)
	n := int64(a)<<8 | int64(b)
	flag := a&1 == 1
	d.w.trace, d.m.resets = nil, nil
	var in []byte
	switch op % 14 {
	case 0, 1:
		in = d.headers(id|1, true, flag)
	case 2:
		in = d.headers(id, a&2 != 0, flag)
	case 3, 4:
		n %= 4000
		flag = b&1 == 1
		in = AppendData(nil, id, make([]byte, n), flag)
		d.note("DATA %d %d %v", id, n, flag)
		d.m.data(id, n, flag)
	case 5:
		in = AppendRSTStream(nil, id, Cancel)
		d.note("RST_STREAM %d", id)
		d.m.rstStream(id)
	case 6:
		if a > 250 {
			n = MaxWindow - int64(b)
		}
		in = AppendWindowUpdate(nil, id, uint32(n))
		d.note("WINDOW_UPDATE %d %d", id, n)
		d.m.windowUpdate(id, n)
	case 7:
		if which > 250 {
			n = MaxWindow - 65535 + n - 100
		}
		in = AppendSettings(nil, Setting{SettingInitialWindowSize, uint32(n)})
		d.note("SETTINGS %d", n)
		d.m.settings(n)
	case 8:
		in = AppendHeader(nil, Header{Length: priorityLen, Type: FramePriority, Stream: id})
		dep := uint32(a) % (modelIDs + 1)
		in = append(binary.BigEndian.AppendUint32(in, dep), 0)
		d.note("PRIORITY %d %d", id, dep)
		d.m.priority(id, dep)
	default:
		d.own(op%14, id, n, flag)
	}
	d.w.feed(in, 1+int(b)*7)
	d.compare()
}

func (d *duel) note(format string, args ...any) { d.log = append(d.log, fmt.Sprintf(format, args...)) }

func (d *duel) headers(id uint32, request, end bool) []byte {
	var block []byte
	if request {
		for _, f := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", "/x"}} {
			block = d.enc.Append(block, f[0], f[1], false)
		}
	}
	block = d.enc.Append(block, "a", fmt.Sprint(id), false)
	d.note("HEADERS %d request=%v end=%v", id, request, end)
	d.m.headers(id, request, end)
	return AppendHeaders(nil, id, block, end, MinMaxFrame)
}

// own is what the server does.
func (d *duel) own(op byte, id uint32, n int64, end bool) {
	f, s := d.w.all[id], d.m.streams[id]
	if f == nil {
		return
	}
	c, open := &d.w.core, s.fate == unknown
	d.note("own %d %d %d %v", op, id, n, end)
	switch op {
	case 9:
		c.SendHeaders(&f.Stream, nil, end)
		if open && end && !s.local {
			s.local = true
			d.m.finish(s)
		}
	case 10:
		n = min(n, int64(c.Quota(&f.Stream)))
		if n < 0 || n == 0 && !end {
			return
		}
		c.SendData(&f.Stream, make([]byte, n), end)
		if open && !s.local {
			s.send -= n
			d.m.send -= n
			s.local = end
			d.m.finish(s)
		}
	case 11:
		c.Reset(&f.Stream, Cancel)
		if open {
			d.m.kill(id, s, Cancel)
		}
	case 12:
		c.Release(&f.Stream)
		s.released = true
	case 13:
		d.consume(c, f, s)
	}
}

// consume takes all that a stream has in hand.
func (d *duel) consume(c *Core[*flow], f *flow, s *modelStream) {
	n := s.inHand
	s.inHand = 0
	c.ConsumeConn(int(n))
	d.m.credit(n)
	c.Consume(&f.Stream, int(n))
	if s.fate != unknown || s.remote {
		return
	}
	if s.owed += n; s.owed >= modelWindow/2 {
		s.recv += s.owed
		s.owed = 0
	}
}

// compare looks at everything that both know.
func (d *duel) compare() {
	c, m := &d.w.core, d.m
	if m.failed || c.err != nil {
		if !m.failed || c.err == nil || c.err.Code != m.code {
			d.differ("the connection's error is %v, want %v %v", c.err, m.failed, m.code)
		}
		return
	}
	var resets []string
	for _, line := range d.w.trace {
		var id uint32
		var code string
		if n, _ := fmt.Sscanf(line, "> RST_STREAM %d %s", &id, &code); n == 2 {
			resets = append(resets, fmt.Sprint(id, " ", code))
		}
	}
	if fmt.Sprint(resets) != fmt.Sprint(m.resets) {
		d.differ("reset %v, want %v", resets, m.resets)
	}
	if int64(c.sendWindow) != m.send || int64(c.recvWindow) != m.recv || c.Active() != m.active() {
		d.differ("send %d, receive %d, active %d, want %d, %d, %d",
			c.sendWindow, c.recvWindow, c.Active(), m.send, m.recv, m.active())
	}
	d.compareStreams()
}

func (d *duel) compareStreams() {
	c, open := &d.w.core, 0
	for id, s := range d.m.streams {
		st := c.Find(id)
		if (st != nil) != (s.fate == unknown) {
			d.differ("stream %d is there: %v, want %v", id, st != nil, s)
		}
		if st == nil {
			continue
		}
		open++
		if st.LocalDone() != s.local || st.RemoteDone() != s.remote {
			d.differ("stream %d is %v, want %+v", id, st.State(), s)
		}
		if send, recv := c.sendable(st), int64(c.window)+int64(st.recvGain); send != s.send || !s.remote && recv != s.recv {
			d.differ("stream %d: send %d, receive %d, want %+v", id, send, recv, s)
		}
	}
	if c.Len() != open {
		d.differ("%d streams, want %d", c.Len(), open)
	}
}

func (d *duel) differ(format string, args ...any) {
	d.t.Helper()
	d.t.Fatalf("%s\nafter %q", fmt.Sprintf(format, args...), d.log[max(0, len(d.log)-30):])
}

// FuzzSession plays whole sessions against the model.
func FuzzSession(f *testing.F) {
	f.Add([]byte("\x00\x01\x00\x00\x03\x01\x02\x03\x09\x01\x00\x00\x0a\x01\x01\x00\x0c\x01\x00\x00"))
	f.Fuzz(func(t *testing.T, ops []byte) {
		d := newDuel(t)
		for ; len(ops) >= 4 && !d.m.failed; ops = ops[4:] {
			d.step(ops[0], ops[1], ops[2], ops[3])
		}
	})
}

// TestSessionModel is FuzzSession with random sessions. Steps that would fail
// the connection are rare enough for most to go on for long.
func TestSessionModel(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	steps := 0
	for range 500 {
		d := newDuel(t)
		for range 300 {
			op, which := byte(r.IntN(14)), byte(r.IntN(int(d.m.highest)+1))|1
			if op <= 1 { // mostly a new stream
				which = byte(min(d.m.highest+1, modelIDs-1)) | 1
			}
			s := d.m.streams[uint32(which)]
			if op <= 2 && s != nil && s.fate == ended || op == 2 && s == nil || d.m.highest == 0 {
				// Would fail the connection. A new stream does not.
				op, which = 0, byte(min(d.m.highest+1, modelIDs-1))|1
			}
			if op <= 2 && d.m.highest >= modelIDs {
				op = 9
			}
			if r.IntN(100) == 0 {
				op, which = byte(r.IntN(14)), byte(r.Uint32())
			}
			d.step(op, which, byte(r.Uint32()), byte(r.Uint32()))
			if steps++; d.m.failed {
				break
			}
		}
	}
	t.Logf("%d steps", steps)
	if steps < 20_000 {
		t.Errorf("only %d steps: the sessions end too early to show much", steps)
	}
}
