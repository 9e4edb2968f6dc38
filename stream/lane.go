package stream

import (
	"sync"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/h2"
)

// lane is what the sessions of one loop share. It is the loop's.
type lane struct {
	scratch [][]byte              // for Core.Out, lent to a session while it works
	block   []byte                // for header blocks
	streams []*h2.Stream[*Stream] // for each
}

// scratchSize is how much output a session gathers before it is written.
const (
	scratchSize = 64 << 10
	scratchKeep = 4 // buffers; sessions work inside each other's callbacks only now and then
)

func (l *lane) lend() []byte {
	if n := len(l.scratch); n > 0 {
		p := l.scratch[n-1]
		l.scratch = l.scratch[:n-1]
		return p
	}
	return make([]byte, 0, scratchSize+16<<10)
}

func (l *lane) giveBack(p []byte) {
	if len(l.scratch) < scratchKeep && cap(p) <= 4*scratchSize {
		l.scratch = append(l.scratch, p[:0])
	}
}

// lanes finds the lane of a loop. Runtimes are few and lanes small, but a lane
// must not outlive its runtime: it goes with the last session on it.
var lanes = struct {
	sync.Mutex
	m map[laneKey]*laneRef
}{m: make(map[laneKey]*laneRef)}

type laneKey struct {
	rt   *conn.Runtime
	loop int
}

type laneRef struct {
	lane
	users int
}

// enterLane returns the lane of a loop, leaveLane gives it back.
func enterLane(rt *conn.Runtime, loop int) *lane {
	lanes.Lock()
	defer lanes.Unlock()
	k := laneKey{rt, loop}
	r := lanes.m[k]
	if r == nil {
		r = &laneRef{}
		lanes.m[k] = r
	}
	r.users++
	return &r.lane
}

func leaveLane(rt *conn.Runtime, loop int) {
	lanes.Lock()
	defer lanes.Unlock()
	k := laneKey{rt, loop}
	if r := lanes.m[k]; r != nil {
		if r.users--; r.users == 0 {
			delete(lanes.m, k)
		}
	}
}
