package thread

import (
	"errors"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// on runs f on a thread of its own, which ends with it.
func on(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		f()
	}()
	<-done
}

func TestHelpString(t *testing.T) {
	for h, want := range map[Help]string{
		0: "none", Slack: "slack", Slack | FIFO: "slack|fifo", Slice | Nice: "slice|nice",
	} {
		require.Equal(t, want, h.String())
	}
}

// Whatever is refused, Hasten answers with the rest and the reasons.
func TestHastenAddsUp(t *testing.T) {
	for _, realtime := range []bool{false, true} {
		on(func() {
			got, err := Hasten(realtime)
			t.Logf("realtime %v: %v, refused: %v", realtime, got, err)
			if runtime.GOOS != "linux" {
				require.Zero(t, got)
				require.ErrorIs(t, err, errors.ErrUnsupported)
				return
			}
			require.True(t, got.Has(Slack), "slack needs no privilege")
			if !realtime {
				require.False(t, got.Has(FIFO|Nice), "not asked for")
			}
			if realtime && !got.Has(FIFO) {
				require.Error(t, err)
			}
		})
	}
}
