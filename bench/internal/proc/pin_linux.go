package proc

import (
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// allowed lists the cores this process may run on.
func allowed() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, err
	}
	var cores []int
	for c := range len(set) * 64 {
		if set.IsSet(c) {
			cores = append(cores, c)
		}
	}
	return cores, nil
}

// startOn starts cmd on one core. A child inherits the mask of the thread that forks it, so this thread takes the
// mask for the length of the fork: the child has it before its first instruction, and so has every thread it starts.
func startOn(cmd *exec.Cmd, core int) error {
	if core == Anywhere {
		return cmd.Start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	one.Set(core)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return err
	}
	started := cmd.Start()
	if err := unix.SchedSetaffinity(0, &before); err != nil {
		return err
	}
	return started
}
