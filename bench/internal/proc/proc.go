// Package proc starts the processes of a benchmark, talks with them line by line, holds each on its core, and reads
// from the kernel what they and the rest of the machine used.
//
//	bench ──┬─ stdin/stdout ─► server   on one core
//	        └─ stdin/stdout ─► driver   on another; samples the server's CPU time at the edges of its window
package proc

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"
)

var (
	// ErrSilent is returned when a process did not say anything within the patience it was given.
	ErrSilent = errors.New("proc: no answer in time")
	// ErrEnded is returned when a process ended instead of answering.
	ErrEnded = errors.New("proc: ended unexpectedly")
)

// Proc is a running process that reads and writes lines. One goroutine may use it.
type Proc struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string // closed at the end of its output
	words errorTail
	ended sync.Once
	code  error // of the process, once it has ended
}

// Start runs cmd held on one core (all its threads, from the first instruction on), or anywhere when core is -1.
// The command's standard streams are the Proc's. The process must end when its input does.
func Start(cmd *exec.Cmd, core int) (*Proc, error) {
	p := &Proc{cmd: cmd, lines: make(chan string, 16)}
	cmd.Stderr = &p.words
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := startOn(cmd, core); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	p.in = in
	go p.listen(out)
	return p, nil
}

// longest is how long a line may be: a result that lists each tick of a long window is long.
const longest = 16 << 20

func (p *Proc) listen(out io.Reader) {
	defer close(p.lines)
	s := bufio.NewScanner(out)
	s.Buffer(nil, longest)
	for s.Scan() {
		p.lines <- s.Text()
	}
}

// PID is the process's id.
func (p *Proc) PID() int { return p.cmd.Process.Pid }

// Line is the next line the process writes.
func (p *Proc) Line(patience time.Duration) (string, error) {
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case s, ok := <-p.lines:
		if !ok { // nothing more is said: then it ends, and has said its last words
			p.wait(patience)
			return "", p.explain(ErrEnded)
		}
		return s, nil
	case <-late.C:
		return "", p.explain(ErrSilent)
	}
}

// Say writes one line to the process.
func (p *Proc) Say(word string) error {
	if _, err := io.WriteString(p.in, word+"\n"); err != nil {
		return p.explain(err)
	}
	return nil
}

// Ask writes one line and returns the next one the process writes.
func (p *Proc) Ask(word string, patience time.Duration) (string, error) {
	if err := p.Say(word); err != nil {
		return "", err
	}
	return p.Line(patience)
}

// Stop closes the process's input, waits until it has ended, and kills it after patience. A process that reported a
// failure by its exit code gives an error with its last words.
func (p *Proc) Stop(patience time.Duration) error {
	p.in.Close()
	if err := p.wait(patience); err != nil {
		return p.explain(err)
	}
	return nil
}

// wait waits until the process has ended, and kills it after patience.
func (p *Proc) wait(patience time.Duration) error {
	p.ended.Do(func() {
		kill := time.AfterFunc(patience, func() { p.cmd.Process.Kill() })
		defer kill.Stop()
		for range p.lines { // Wait closes the pipe: what is left has to be read before
		}
		p.code = p.cmd.Wait()
	})
	return p.code
}

// explain adds which process it was and the last words it wrote on its standard error.
func (p *Proc) explain(err error) error {
	name := strings.Join(p.cmd.Args, " ")
	if len(name) > 200 {
		name = name[:200] + "…"
	}
	return fmt.Errorf("%s: %w%s", name, err, p.words.suffix())
}
