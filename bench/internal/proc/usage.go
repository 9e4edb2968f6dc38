package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ErrUnknown is returned where the kernel does not say what was asked (no /proc).
var ErrUnknown = errors.New("proc: the kernel does not say")

// threads is the CPU time of each of a process's threads, by thread id.
type threads map[string]time.Duration

// since is the CPU time used after before was taken. A thread that ended in between is left out.
func (t threads) since(before threads) time.Duration {
	var sum time.Duration
	for id, used := range t {
		sum += used - before[id]
	}
	return sum
}

// cpuOf reads /proc/PID/task/*/schedstat: nanoseconds on a core, exact, where utime and stime count ticks of 10 ms.
// Without schedstat it falls back to those.
func cpuOf(pid int) (threads, error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	files, _ := filepath.Glob(filepath.Join(dir, "task/*/schedstat"))
	used := threads{}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // this thread has just ended
		}
		field, _, _ := strings.Cut(string(b), " ")
		ns, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return nil, ErrUnknown
		}
		used[filepath.Base(filepath.Dir(name))] = time.Duration(ns)
	}
	if len(used) > 0 {
		return used, nil
	}
	ticks, err := ticksOf(filepath.Join(dir, "stat"))
	return threads{"all": ticks}, err
}

// tick is the unit of /proc's times: USER_HZ is 100 on every Linux that Go runs on.
const tick = 10 * time.Millisecond

func ticksOf(stat string) (time.Duration, error) {
	b, err := os.ReadFile(stat)
	if err != nil {
		return 0, ErrUnknown
	}
	// The name stands in brackets and may contain anything; utime and stime are the 12th and 13th field after it.
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 13 {
		return 0, ErrUnknown
	}
	user, err1 := strconv.ParseInt(string(fields[11]), 10, 64)
	system, err2 := strconv.ParseInt(string(fields[12]), 10, 64)
	if err1 != nil || err2 != nil {
		return 0, ErrUnknown
	}
	return time.Duration(user+system) * tick, nil
}

// Resident is the process's resident memory in bytes (VmRSS). Memory of its sockets in the kernel is not in it.
func Resident(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, ErrUnknown
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, ErrUnknown
}

// machine is the first line of /proc/stat: time of all cores together.
type machine struct {
	busy, idle, steal time.Duration
}

func machineNow() (machine, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return machine{}, ErrUnknown
	}
	return parseMachine(string(b))
}

// parseMachine reads "cpu user nice system idle iowait irq softirq steal ...".
func parseMachine(stat string) (machine, error) {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return machine{}, ErrUnknown
	}
	var n [8]time.Duration
	for i := range n {
		v, err := strconv.ParseInt(fields[i+1], 10, 64)
		if err != nil {
			return machine{}, ErrUnknown
		}
		n[i] = time.Duration(v) * tick
	}
	return machine{busy: n[0] + n[1] + n[2] + n[5] + n[6], idle: n[3] + n[4], steal: n[7]}, nil
}
