//go:build linux

package faults

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weir-go/weir/internal/await"
	"github.com/weir-go/weir/internal/leak"
)

// process is a server of kind, with so many descriptors.
type process struct {
	*exec.Cmd
	addr, admin string
}

func start(t *testing.T, kind string, descriptors int) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return launch(t, exec.Command(self), kind, descriptors)
}

// launch is start by a command of one's own.
func launch(t *testing.T, cmd *exec.Cmd, kind string, descriptors int) *process {
	t.Helper()
	p := &process{Cmd: cmd}
	p.Env = append(os.Environ(), "FAULTS_SERVER="+kind, fmt.Sprint("FAULTS_LIMIT=", descriptors))
	if long() {
		p.Env = append(p.Env, "FAULTS_LONG=1")
	}
	p.Stderr = os.Stderr
	in, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := p.Wait(); err != nil {
			t.Errorf("the server: %v", err)
		}
	})
	if _, err := fmt.Fscan(bufio.NewReader(out), &p.addr, &p.admin); err != nil {
		t.Fatal(err)
	}
	return p
}

// used is the processor time that it has had: user and system time are the 14th
// and 15th field of /proc/PID/stat, in hundredths of a second.
func (p *process) used(t *testing.T) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// probe asks the admin port ten times a second, each time anew, until stop, which
// returns how long the answers took and how many there were none.
func probe(p *process) (stop func() (took []time.Duration, none int)) {
	client := http.Client{Timeout: answers, Transport: &http.Transport{DisableKeepAlives: true}}
	quit, ended := make(chan struct{}), make(chan struct{})
	var took []time.Duration
	none := 0
	go func() {
		defer close(ended)
		for {
			began := time.Now()
			if r, err := client.Get("http://" + p.admin + "/"); err != nil {
				none++
			} else {
				io.Copy(io.Discard, r.Body)
				r.Body.Close()
				took = append(took, time.Since(began))
			}
			select {
			case <-quit:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	return func() ([]time.Duration, int) {
		close(quit)
		<-ended
		slices.Sort(took)
		return took, none
	}
}

// figures are lines of the server's own metrics.
func figures(t *testing.T, p *process, names ...string) {
	t.Helper()
	r, err := http.Get("http://" + p.admin + "/")
	if err != nil {
		t.Error(err)
		return
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer r.Body.Close()
	for in := bufio.NewScanner(r.Body); in.Scan(); {
		for _, name := range names {
			if strings.HasPrefix(in.Text(), name) {
				t.Log(in.Text())
			}
		}
	}
}

// replay is the incident: far more clients that want to stay than there are
// descriptors, for so long at least, and until what is to happen has; then they
// go.
func replay(t *testing.T, p *process, during time.Duration, has func(*tally) bool) (at *tally, answered []time.Duration, none int) {
	t.Helper()
	at = new(tally)
	stopProbe := probe(p)
	leave := crowd(500, p.addr, at)
	<-time.After(during / 4) // the start is not what is measured
	before := p.used(t)
	<-time.After(during * 3 / 4)
	part := (p.used(t) - before).Seconds() / (during * 3 / 4).Seconds()
	await.Until(t, "the load was what it is meant to be", func() bool { return has(at) })
	answered, none = stopProbe() // before the clients go, and others have their place
	t.Logf("%s", at)
	leave()
	if n := len(answered); n > 0 {
		t.Logf("admin: %d answers, median %v, 99 of 100 in %v, the last in %v; %d without; processor %.1f %% of a core",
			n, answered[n/2], answered[n*99/100], answered[n-1], none, 100*part)
	} else {
		t.Logf("admin: no answer, %d times; processor %.1f %% of a core", none, 100*part)
	}
	return at, answered, none
}

// TestIncident: 500 clients want streams of a server with 256 descriptors. Each
// that is refused hears so, those that are let in lose nothing, unary goes on,
// the admin port answers, and streams come back when the load has gone.
func TestIncident(t *testing.T) {
	leak.FDs(t)
	p := start(t, "bounded", 256)
	during := 2 * time.Second
	if long() {
		during = time.Minute
	}
	at, answered, none := replay(t, p, during, func(at *tally) bool {
		return at.shed.Load() > 0 && at.busy.Load() > 0 && at.unary.Load() > 0 && at.granted.Load() >= 100
	})
	if at.silent.Load()+at.lost.Load()+at.mute.Load() > 0 {
		t.Errorf("refused without a word %d, lost %d, unary without an answer %d", at.silent.Load(), at.lost.Load(), at.mute.Load())
	}
	if none > 0 || len(answered) == 0 {
		t.Errorf("admin: %d answers, none %d times", len(answered), none)
	}

	began := time.Now()
	var back tally
	leave := crowd(50, p.addr, &back)
	await.Until(t, "streams come back", func() bool { return back.granted.Load() == 50 })
	t.Logf("streams are back after %v", time.Since(began))
	leave()
	figures(t, p, "weir_bounds_descriptors", "weir_bounds_entered", "weir_accepts_refused", "weir_lingers_cut")
	if back.silent.Load()+back.lost.Load()+back.mute.Load() > 0 {
		t.Errorf("afterwards: %s", &back)
	}
}

// TestIncidentPlain is what the test above is worth: a server as one writes it
// with package net leaves its clients without a word, and its admin port too.
func TestIncidentPlain(t *testing.T) {
	if !long() {
		t.Skip("with WEIR_FAULTS=long only")
	}
	leak.FDs(t)
	at, _, none := replay(t, start(t, "net", 256), 30*time.Second, func(*tally) bool { return true })
	if at.silent.Load() == 0 || none == 0 {
		t.Error("it refuses in so many words, and its admin port answers: the incident is none")
	}
}
