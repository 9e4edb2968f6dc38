package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
)

// machineFacts are what a reader has to know of the machine and the build.
func machineFacts() []fact {
	cpu := runtime.GOARCH
	if model := valueIn("/proc/cpuinfo", "model name"); model != "" {
		cpu = model
	}
	facts := []fact{{"CPU", fmt.Sprintf("%s, %d cores for this run", cpu, runtime.NumCPU())}}
	if kib, err := strconv.Atoi(strings.TrimSuffix(valueIn("/proc/meminfo", "MemTotal"), " kB")); err == nil {
		facts = append(facts, fact{"memory", fmt.Sprintf("%.0f GiB", float64(kib)/(1<<20))})
	}
	return append(facts,
		fact{"kernel", strings.TrimSpace(runtime.GOOS + " " + kernel())},
		fact{"Go", runtime.Version()},
		fact{"commit", commit()})
}

// valueIn reads one "name : value" line of a file in /proc; "" where there is none.
func valueIn(file, name string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func kernel() string {
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// commit is what the repository says of itself, with "-dirty" where files differ from it.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
