package thread

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// What Hasten says that it got is what the kernel says the thread has.
func TestKernelAgrees(t *testing.T) {
	for _, realtime := range []bool{false, true} {
		on(func() {
			got, _ := Hasten(realtime)
			attr, err := unix.SchedGetAttr(0, 0)
			require.NoError(t, err)
			require.Equal(t, got.Has(FIFO), attr.Policy == unix.SCHED_FIFO)
			require.Equal(t, got.Has(Slice), attr.Runtime == slice)
			require.Equal(t, got.Has(Nice), attr.Nice < 0)

			if slack, err := os.ReadFile("/proc/thread-self/timerslack_ns"); err == nil && !got.Has(FIFO) {
				ns, err := strconv.Atoi(strings.TrimSpace(string(slack)))
				require.NoError(t, err)
				require.Equal(t, got.Has(Slack), ns == 1)
			}
		})
	}
}

// A thread that the runtime starts while a hastened one is locked is an
// ordinary one.
func TestOthersInheritNothing(t *testing.T) {
	ordinary, err := unix.SchedGetAttr(0, 0) // who tests may be niced
	require.NoError(t, err)
	on(func() {
		if got, _ := Hasten(true); !got.Has(FIFO | Nice) {
			t.Skip("no privilege to inherit")
		}
		for range 2 * runtime.GOMAXPROCS(0) {
			on(func() {
				attr, err := unix.SchedGetAttr(0, 0)
				require.NoError(t, err)
				require.Equal(t, ordinary.Policy, attr.Policy)
				require.Equal(t, ordinary.Nice, attr.Nice)
			})
		}
	})
}

// Without the privilege the thread still gets what needs none.
func TestWithoutPrivilege(t *testing.T) {
	on(func() {
		require.NoError(t, dropNice())
		got, err := Hasten(true)
		t.Logf("%v, refused: %v", got, err)
		require.True(t, got.Has(Slack))
		require.False(t, got.Has(FIFO|Nice))
		require.ErrorIs(t, err, unix.EPERM)
	})
}

// dropNice takes CAP_SYS_NICE and the rlimits that stand in for it from the
// calling thread. Capabilities belong to a thread; its limits are zero for an
// ordinary process.
func dropNice() error {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&head, &data[0]); err != nil {
		return err
	}
	data[0].Effective &^= 1 << unix.CAP_SYS_NICE
	return unix.Capset(&head, &data[0])
}
