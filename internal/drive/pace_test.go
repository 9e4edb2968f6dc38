package drive

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// paced is an open loop of 1,000 messages a second over two connections, with
// nobody there: the tests say what time it is.
func paced(pipeline int) (*Load, *peer) {
	l := &Load{cfg: Config{Conns: 2, Size: 64, Pipeline: pipeline, Rate: 1000}, tallies: make([]tally, 1)}
	l.tallies[0].take()
	l.tallies[0].open = true
	peers := l.newPeers()
	for i := range peers {
		peers[i].tally = &l.tallies[0]
		peers[i].nth = i
		l.clients = append(l.clients, &peers[i])
	}
	return l, &peers[1]
}

const ms = time.Millisecond

// The second of two connections has the messages of 1, 3, 5, ... ms.
func TestMessagesAreDueInTurn(t *testing.T) {
	_, p := paced(100)
	require.Zero(t, p.due(1*ms-1))
	require.Equal(t, 1, p.due(1*ms))
	p.out = 1
	require.Equal(t, 3, p.due(7*ms), "what was late is begun together")
	require.Equal(t, []time.Duration{1 * ms, 3 * ms, 5 * ms, 7 * ms}, p.stamps[:4])
}

// A message that had to wait for the one before it has waited since it was due,
// not since it was sent.
func TestLatencyCountsFromWhenAMessageWasDue(t *testing.T) {
	l, p := paced(1)
	p.out = p.due(50 * ms)
	p.record(1, 51*ms)
	require.Equal(t, 50*ms, l.tallies[0].figures.latency.Max())
	p.out = 0
	p.out = p.due(51 * ms) // of 3 ms
	p.record(1, 60*ms)
	require.Equal(t, 57*ms, l.tallies[0].figures.latency.Max())
}

func TestUnsentAreThoseThatHadToWait(t *testing.T) {
	l, p := paced(1)
	require.Zero(t, l.overdue(10*ms), "nothing is under way: they were about to be sent")
	p.out = p.due(1 * ms)
	require.Equal(t, uint64(4), l.overdue(10*ms), "those of 3, 5, 7 and 9 ms")
}
