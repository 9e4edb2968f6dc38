//go:build linux

package faults

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weir-go/weir/internal/leak"
)

// The processes of these tests are this test binary, started again in a role:
//
//	test ──┬── server   weir, or grpc: what is measured
//	       ├── load     clients, low in priority: they stand for other machines
//	       └── probe    asks the server's admin port, as somebody who watches it does
//
// Each says a line when it is ready, answers a line of its input with one of
// JSON, and ends with its input.
func TestMain(m *testing.M) {
	var err error
	switch os.Getenv("FAULTS_ROLE") {
	case "":
		leak.Main(m)
	case "weir":
		err = serveWeir()
	case "grpc":
		err = serveGRPC()
	case "load":
		err = load()
	case "probe":
		err = probe()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, os.Getenv("FAULTS_ROLE"), err)
		os.Exit(1)
	}
}

func long() bool { return os.Getenv("WEIR_FAULTS") == "long" }

// answer says that the process is ready, and answers until its input ends.
func answer(ready string, state func() any) {
	fmt.Println(ready)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		out, err := json.Marshal(state())
		if err != nil {
			out = []byte(strconv.Quote(err.Error()))
		}
		fmt.Println(string(out))
	}
}

// process is one of them.
type process struct {
	*exec.Cmd
	t     *testing.T
	in    *os.File
	out   *bufio.Reader
	ready []string // the words of its first line
	ended bool
}

// begin starts a process with settings such as "LIMIT=256".
func begin(t *testing.T, role string, settings ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, Cmd: exec.Command(self)}
	if role == "load" {
		// Beside tests that compute, those of the lowest priority may get next to
		// nothing for half a minute.
		nice := "10"
		if long() {
			nice = "19"
		}
		p.Cmd = exec.Command("nice", "-n", nice, self)
	}
	p.Env = append(os.Environ(), "FAULTS_ROLE="+role)
	for _, s := range settings {
		p.Env = append(p.Env, "FAULTS_"+s)
	}
	p.Stderr = os.Stderr
	in, w, err1 := os.Pipe()
	r, out, err2 := os.Pipe()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	p.Stdin, p.Stdout, p.in, p.out = in, out, w, bufio.NewReader(r)
	err = p.Start()
	in.Close()
	out.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.end(); r.Close() })
	line, err := p.out.ReadString('\n')
	if err != nil {
		t.Fatalf("%s does not begin: %v", role, err)
	}
	p.ready = strings.Fields(line)
	return p
}

// ask has the process say how it is doing.
func (p *process) ask(v any) {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.in); err != nil {
		p.t.Fatal(err)
	}
	line, err := p.out.ReadString('\n')
	if err == nil {
		err = json.Unmarshal([]byte(line), v)
	}
	if err != nil {
		p.t.Fatalf("%v: %v", p.Env[len(p.Env)-1], err)
	}
}

// end has it end, and waits.
func (p *process) end() {
	if p.ended {
		return
	}
	p.ended = true
	p.in.Close()
	if err := p.Wait(); err != nil {
		p.t.Errorf("%s: %v", p.Args[len(p.Args)-1], err)
	}
}

// spent is how long the process has had a processor, and how long it was ready
// and had none because others did: the first two fields of schedstat, in
// nanoseconds, of each of its threads.
func (p *process) spent() (ran, waited time.Duration) {
	dir := fmt.Sprintf("/proc/%d/task", p.Process.Pid)
	threads, err := os.ReadDir(dir)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, thread := range threads {
		var r, w int64
		if text, err := os.ReadFile(dir + "/" + thread.Name() + "/schedstat"); err == nil {
			fmt.Sscan(string(text), &r, &w)
		}
		ran, waited = ran+time.Duration(r), waited+time.Duration(w)
	}
	return ran, waited
}

// fewer sets the limit of descriptors that a server is given.
func fewer() error {
	var few, before syscall.Rlimit
	if _, err := fmt.Sscan(os.Getenv("FAULTS_LIMIT"), &few.Cur); err != nil {
		return err
	}
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		return err
	}
	few.Max = before.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few)
}
