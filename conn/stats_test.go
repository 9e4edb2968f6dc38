package conn

import (
	"testing"
	"time"
)

// Stats know how many timers are set: one for each connection that has a limit
// of time, and none when they have gone.
func TestStatsKnowTheTimersSet(t *testing.T) {
	r := newRig(t, Config{})
	set := func() int64 { return r.rt.Stats().Loops[0].TimersSet }
	_, first := r.pair(Options{Idle: time.Hour}, echoes)
	_, second := r.pair(Options{Idle: time.Hour}, echoes)
	r.pair(Options{}, echoes)
	r.settle()
	if n := set(); n != 2 {
		t.Errorf("%d timers set, want those of two connections", n)
	}
	r.closePeer(first)
	r.closePeer(second)
	r.settle()
	if n := set(); n != 0 {
		t.Errorf("%d timers set after their connections have gone", n)
	}
}
