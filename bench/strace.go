package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// noStrace says why system calls can't be counted here, or "".
func noStrace() string {
	if _, err := exec.LookPath("strace"); err != nil {
		return "strace is not there"
	}
	return ""
}

// tracer is a running strace that counts a process's system calls.
type tracer struct {
	cmd   *exec.Cmd
	table string     // the file it writes its counts to
	ended chan error // what Wait says
}

// attach starts strace on all threads of a process and returns when it is attached.
func attach(pid int, scratch string) (*tracer, error) {
	t := &tracer{table: filepath.Join(scratch, "strace"), ended: make(chan error, 1)}
	t.cmd = exec.Command("strace", "-f", "-c", "-o", t.table, "-p", strconv.Itoa(pid))
	says, err := t.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := t.cmd.Start(); err != nil {
		return nil, err
	}
	first, err := bufio.NewReader(says).ReadString('\n')
	go func() { // strace reports every new thread: it must not wait for a reader
		io.Copy(io.Discard, says)
		t.ended <- t.cmd.Wait()
	}()
	if err != nil || !strings.Contains(first, "attached") {
		t.cmd.Process.Kill()
		<-t.ended
		return nil, fmt.Errorf("strace: %s", strings.TrimSpace(first))
	}
	return t, nil
}

// detach ends strace and returns how often each system call was made.
func (t *tracer) detach() (map[string]uint64, error) {
	if err := t.cmd.Process.Signal(syscall.SIGINT); err != nil {
		return nil, err
	}
	// It ends by the signal it was sent, after it has written its table: an error here says nothing.
	<-t.ended
	text, err := os.ReadFile(t.table)
	if err != nil {
		return nil, err
	}
	return parseCounts(text)
}

// parseCounts reads the table of strace -c:
//
//	% time     seconds  usecs/call     calls    errors syscall
//	------ ----------- ----------- --------- --------- ----------------
//	 52.31    0.041217           2     19204      9602 read
func parseCounts(table []byte) (map[string]uint64, error) {
	calls := map[string]uint64{}
	lines := bufio.NewScanner(bytes.NewReader(table))
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 5 || f[len(f)-1] == "total" {
			continue
		}
		if n, err := strconv.ParseUint(f[3], 10, 64); err == nil {
			calls[f[len(f)-1]] += n
		}
	}
	if len(calls) == 0 {
		return nil, errors.New("strace counted nothing")
	}
	return calls, nil
}

// kinds sorts the calls of a network server; everything else is "other".
var kinds = map[string]string{
	"read": "reads", "readv": "reads", "recvfrom": "reads", "recvmsg": "reads",
	"write": "writes", "writev": "writes", "sendto": "writes", "sendmsg": "writes",
	"epoll_wait": "waits", "epoll_pwait": "waits", "epoll_pwait2": "waits",
}

func perRequest(calls map[string]uint64, requests uint64) map[string]float64 {
	values := map[string]float64{}
	for name, n := range calls {
		kind, ok := kinds[name]
		if !ok {
			kind = "other_calls"
		}
		values[kind+"_per_request"] += float64(n) / float64(requests)
		values["syscalls_per_request"] += float64(n) / float64(requests)
	}
	return values
}
