package idem_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/weir-go/weir/idem"
)

// deaf is a store whose Begin is done and its answer lost.
type deaf struct{ *idem.Memory }

func (d deaf) Begin(ctx context.Context, name string, c idem.Claim) (idem.Grant, error) {
	_, _ = d.Memory.Begin(ctx, name, c)
	return idem.Grant{}, errors.New("answer lost")
}

// A claim whose answer was lost leaves the key as it was: free if it was new,
// and with its unknown effect if somebody died over it.
func TestLostClaimChangesNothing(t *testing.T) { synctest.Test(t, lostClaimChangesNothing) }

func lostClaimChangesNothing(t *testing.T) {
	ctx := context.Background()
	key := idem.Key{Operation: "op", ID: "x"}
	p := idem.Policy{Unknown: idem.Halt()}
	effects := 0
	lost := func(context.Context, *idem.Attempt) ([]byte, error) { effects++; return nil, errors.New("reply lost") }
	fine := func(context.Context, *idem.Attempt) ([]byte, error) { effects++; return []byte("ok"), nil }

	m := new(idem.Memory)
	hearing := &idem.Client{Store: m}
	_, err := (&idem.Client{Store: deaf{m}}).Do(ctx, key, nil, p, lost)
	require.Error(t, err)
	_, err = hearing.Do(ctx, key, nil, p, fine)
	require.NoError(t, err, "it was new, and is free")
	require.Equal(t, 1, effects)

	m = new(idem.Memory)
	hearing = &idem.Client{Store: m}
	_, err = hearing.Do(ctx, key, nil, p, lost)
	require.Error(t, err)
	_, err = (&idem.Client{Store: deaf{m}}).Do(ctx, key, nil, p, fine)
	require.Error(t, err)
	_, err = hearing.Do(ctx, key, nil, p, fine)
	require.ErrorIs(t, err, idem.ErrUnknown)
	require.Equal(t, 2, effects, "under Halt nobody repeats an effect that is unknown")
}

// leaving is a store whose caller leaves as it answers.
type leaving struct {
	*idem.Memory
	leave func()
}

func (l leaving) Begin(ctx context.Context, name string, c idem.Claim) (idem.Grant, error) {
	defer l.leave()
	return l.Memory.Begin(ctx, name, c)
}

// A caller who has left by the time of the grant leaves nothing behind that a person
// has to look at: fn is not begun.
func TestCallerLeavesWithTheGrant(t *testing.T) {
	key, p := idem.Key{Operation: "op", ID: "x"}, idem.Policy{Unknown: idem.Halt()}
	m := new(idem.Memory)
	ctx, leave := context.WithCancel(t.Context())
	c := &idem.Client{Store: leaving{m, leave}}
	_, err := c.Do(ctx, key, nil, p, never(t))
	require.ErrorIs(t, err, idem.ErrUnavailable)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, uint64(1), c.Stats().Unavailable)

	died := errors.New("died")
	hearing := &idem.Client{Store: m}
	_, err = hearing.Do(t.Context(), key, nil, p, func(_ context.Context, a *idem.Attempt) ([]byte, error) {
		require.False(t, a.Taken, "it was new, and is free")
		return nil, died
	})
	require.ErrorIs(t, err, died)

	p.Unknown = idem.Redo()
	ctx, leave = context.WithCancel(t.Context())
	_, err = (&idem.Client{Store: leaving{m, leave}}).Do(ctx, key, nil, p, never(t))
	require.ErrorIs(t, err, context.Canceled)
	_, err = hearing.Do(t.Context(), key, nil, p, func(_ context.Context, a *idem.Attempt) ([]byte, error) {
		require.True(t, a.Taken, "what was unknown is so still")
		return nil, nil
	})
	require.NoError(t, err)
}
