package drive

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// stream writes n bytes of connection i's stream down, byte by byte.
func stream(p pattern, i, n int) []byte {
	at := start(i)
	s := make([]byte, 0, n)
	for range n {
		s = append(s, p[at])
		at.advance(1)
	}
	return s
}

func TestSlicesAreTheStream(t *testing.T) {
	for _, batch := range []int{1, 64, 4096, period, 16384, 200_000} {
		p := newPattern(7, batch)
		want := stream(p, 3, 500_000)
		var got []byte
		for at := start(3); len(got) < len(want); {
			piece := p.next(at, min(batch, len(want)-len(got)))
			if batch <= 64<<10 {
				require.Len(t, piece, min(batch, len(want)-len(got)), "a batch is one slice")
			}
			got = append(got, piece...)
			at.advance(len(piece))
		}
		require.Equal(t, want, got)
	}
}

func TestCheckFollowsTheStream(t *testing.T) {
	p := newPattern(7, 1000)
	rest := stream(p, 1, 300_000)
	at := start(1)
	r := rand.New(rand.NewPCG(1, 2))
	for len(rest) > 0 {
		n := min(1+r.IntN(70_000), len(rest))
		require.NoError(t, p.check(&at, rest[:n]))
		rest = rest[n:]
	}
}

func TestStreamsDiffer(t *testing.T) {
	p := newPattern(0, 64)
	seen := make(map[cursor]bool)
	for i := range period {
		seen[start(i)] = true
	}
	require.Len(t, seen, period)
	at := start(0)
	require.ErrorIs(t, p.check(&at, stream(p, 1, 64)), ErrMismatch)
	at = start(0)
	require.ErrorIs(t, newPattern(1, 64).check(&at, stream(p, 0, 64)), ErrMismatch)
}
