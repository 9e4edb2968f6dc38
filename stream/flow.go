package stream

import (
	"time"

	"github.com/weir-go/weir/internal/h2"
	"github.com/weir-go/weir/timer"
)

// flow estimates the product of bandwidth and delay from how much arrives while
// a PING is on its way, and raises the windows, the connection's and those of
// streams that use theirs up, when they are what limits the peer. It measures
// only sessions that receive a lot at once: the PINGs of others would cost more
// than they bring.
type flow struct {
	sample  int        // bytes since the PING went out
	sent    timer.Time // when that was; 0: none is out
	seen    int        // bytes of this Feed and those before, up to a measurement
	product int        // the estimate
	best    float64    // bytes a second
	rtt     float64    // seconds, smoothed
}

// measureFrom is how much must have arrived before a measurement is worth it.
const measureFrom = 64 << 10

// flowPing is the data of the PINGs that measure.
var flowPing = [8]byte{'w', 'e', 'i', 'r', 'f', 'l', 'o', 'w'}

// measure counts received bytes.
func (s *Session) measure(n int) {
	f := &s.flow
	if f.product >= s.own.cfg.MaxWindow {
		return
	}
	if f.sent != 0 {
		f.sample += n
		return
	}
	if f.seen += n; f.seen >= measureFrom && s.core.Err() == nil {
		f.seen, f.sample, f.sent = 0, n, timer.Now()
		s.core.Ping(flowPing)
	}
}

// measured is the answer.
func (s *Session) measured(now timer.Time) {
	f := &s.flow
	if f.sent == 0 {
		return
	}
	rtt := max(now.Sub(f.sent), time.Microsecond).Seconds()
	f.sent = 0
	if f.rtt == 0 {
		f.rtt = rtt
	} else {
		f.rtt += (rtt - f.rtt) / 8
	}
	rate := float64(f.sample) / (1.5 * f.rtt)
	window := max(f.product, s.own.cfg.StreamWindow)
	if rate < f.best || 3*f.sample < 2*window {
		return
	}
	f.best = rate
	f.product = min(2*f.sample, s.own.cfg.MaxWindow)
	s.core.RaiseConn(int32(min(f.product, h2.MaxWindow)))
}

// widen opens the stream's window by what has come: to what bandwidth and delay
// ask for, if the stream uses its window up, or by all that is missing of a
// message that has its turn, for which there is room. Streams that have not sent
// much keep the window they began with, so a thousand of them at once cannot
// bring more than that.
func (st *Stream) widen() {
	f, n := &st.sess.flow, 0
	in := st.in
	turn := in != nil && in.turn == haveTurn
	if turn {
		n = in.asm.Size() - in.asm.Len()
	}
	n = min(max(n, f.product), st.sess.own.cfg.MaxWindow, h2.MaxWindow)
	st.sess.core.Widen(&st.h, int32(n), turn)
}
