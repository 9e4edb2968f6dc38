package proc

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Anywhere is the core of a process that is not held on one.
const Anywhere = -1

// Cores picks a core for the server and one for the driver among those this process may use, on different physical
// cores where the machine has them. note says what to know about the choice, "" if nothing.
func Cores() (server, driver int, note string) {
	cores, err := allowed()
	switch {
	case err != nil:
		return Anywhere, Anywhere, "not pinned: " + err.Error()
	case len(cores) < 2:
		return Anywhere, Anywhere, "not pinned: there is one core for server and driver"
	}
	server = cores[0]
	twins := siblings(server)
	for _, c := range cores[1:] {
		if !slices.Contains(twins, c) {
			return server, c, ""
		}
	}
	return server, cores[1], "server and driver share one physical core (hyper-threads)"
}

// siblings are the hardware threads of core's physical core, as the kernel lists them: "0,4" or "0-1".
func siblings(core int) []int {
	name := filepath.Join("/sys/devices/system/cpu", "cpu"+strconv.Itoa(core), "topology/thread_siblings_list")
	b, err := os.ReadFile(name)
	if err != nil {
		return nil
	}
	return coreList(string(b))
}

// coreList reads a list of numbers and ranges; what it can't read it leaves out.
func coreList(s string) []int {
	var cores []int
	for part := range strings.SplitSeq(strings.TrimSpace(s), ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err1 := strconv.Atoi(from)
		last, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil {
			continue
		}
		for c := first; c <= last; c++ {
			cores = append(cores, c)
		}
	}
	return cores
}
