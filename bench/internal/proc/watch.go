package proc

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Watch measures what a server used between two moments, and what the rest of the machine did meanwhile.
type Watch struct {
	server     int
	drivers    []int
	interrupts []int // the kernel's threads that do network work left over by the cores: part of the load, not "others"
	began      moment
}

// Usage is what one Watch saw.
type Usage struct {
	Server  time.Duration // CPU time of the server
	Driver  time.Duration // CPU time of the drivers together
	Elapsed time.Duration
	Known   bool    // false: the kernel does not tell, all of the above but Elapsed and what follows is 0
	Steal   float64 // percent of all cores' time that the hypervisor gave to others
	Other   float64 // percent of all cores' time that other processes used
}

// Limits above which a window counts as disturbed, in percent.
const (
	MostSteal = 8
	MostOther = 12
)

// Disturbed says whether something else used so much of the machine that the window's figures should be doubted.
func (u Usage) Disturbed() bool { return u.Steal > MostSteal || u.Other > MostOther }

type moment struct {
	at                 time.Time
	server, interrupts threads
	drivers            []threads
	machine            machine
	known              bool
}

// NewWatch prepares a watch over the server and those who load it; other processes are others.
func NewWatch(server int, drivers ...int) *Watch {
	return &Watch{server: server, drivers: drivers, interrupts: interruptThreads()}
}

// Begin marks the beginning.
func (w *Watch) Begin() { w.began = w.now() }

// End returns what was used since Begin.
func (w *Watch) End() Usage {
	end := w.now()
	u := Usage{Elapsed: end.at.Sub(w.began.at), Known: end.known && w.began.known}
	if !u.Known {
		return u
	}
	u.Server = end.server.since(w.began.server)
	for i := range w.drivers {
		u.Driver += end.drivers[i].since(w.began.drivers[i])
	}
	busy := end.machine.busy - w.began.machine.busy
	steal := end.machine.steal - w.began.machine.steal
	total := busy + steal + end.machine.idle - w.began.machine.idle
	ours := u.Server + u.Driver + end.interrupts.since(w.began.interrupts)
	if total > 0 {
		u.Steal = 100 * float64(steal) / float64(total)
		// /proc/stat counts ticks and the rest nanoseconds: a small window may come out below zero.
		u.Other = max(0, 100*float64(busy-ours)/float64(total))
	}
	return u
}

func (w *Watch) now() moment {
	m := moment{interrupts: threads{}}
	machine, err := machineNow()
	if err == nil {
		m.machine = machine
		for _, pid := range w.interrupts {
			if used, err := cpuOf(pid); err == nil {
				m.interrupts[strconv.Itoa(pid)] = used.since(nil)
			}
		}
	}
	for _, pid := range w.drivers {
		if err == nil {
			var used threads
			used, err = cpuOf(pid)
			m.drivers = append(m.drivers, used)
		}
	}
	if err == nil {
		m.server, err = cpuOf(w.server)
	}
	m.known = err == nil
	m.at = time.Now()
	return m
}

// interruptThreads finds ksoftirqd/N, which takes over a core's network work when there is much of it.
func interruptThreads() []int {
	names, _ := filepath.Glob("/proc/[0-9]*/comm")
	var pids []int
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil || !strings.HasPrefix(string(b), "ksoftirqd/") {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
