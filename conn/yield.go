package conn

import (
	"runtime"
	"time"

	"github.com/weir-go/weir/timer"
)

// yield lets the goroutines run that the turn has readied. They stand in the queue
// of the loop's P; the loop goes behind all that the scheduler has elsewhere:
//
//	queue of the P   g1 g2 ... g60 │ g61 ... g100
//	                               └ global queue, looked at out of turn: the loop
//
// Of a large batch a part has not run yet when the loop comes back so. What that
// part answers would leave in writes of its own, and what the peers answer to
// those would come in reads of their own: half as many messages in each. So the
// loop yields again, as often as it has to expect that.
//
// It does so only while the batch is quick. Behind goroutines that are slow it
// would keep all those waiting that it has not read from yet.
func (l *loop) yield() {
	slow := l.rest.ended.Add(yieldMost)
	for n := min((l.handed+yieldSlack)/yieldEach, yieldTimes); ; n-- {
		runtime.Gosched()
		if n <= 0 || timer.Now() > slow {
			return
		}
	}
}

// answer does what these goroutines have left for the loop before it looks at what
// has come: a turn without events. Their answers leave, and what the peers say to
// that is often there to be read when the loop looks, in one read with what came
// before. In the other order a connection's streams fall into two halves, one of
// which is answered in the turn in which the other is read.
func (l *loop) answer() {
	if l.post.Load() == 0 {
		return
	}
	handed := l.handed
	l.now = timer.Now()
	ended := l.pass(0)
	l.rest.ended = l.rest.ended.Add(ended.Sub(l.now)) // it was no sleep
	l.late = l.handed - handed
}

const (
	yieldEach  = 61 // goroutines between two looks at the global queue: findRunnable in package runtime
	yieldSlack = 50 // how many of these are over when the batch begins, nobody knows
	yieldTimes = 16
	yieldMost  = 500 * time.Microsecond
)
