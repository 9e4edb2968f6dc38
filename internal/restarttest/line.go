// Package restarttest has tests drive a server that replaces itself: processes that
// are told what to do by signals, and say what they do on a pipe that they share.
//
//	ready GENERATION PID ADDRESS...   one serves
//	ended GENERATION ERROR            one has ended
//
// and clients that ask all the while.
package restarttest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weir-go/weir/internal/await"
)

// Ready is what a server says once it serves.
func Ready(generation int, addresses ...any) {
	fmt.Println(append([]any{"ready", generation, os.Getpid()}, addresses...)...)
}

// Ended is what it says last.
func Ended(generation int, err error) { fmt.Println("ended", generation, err) }

// Line is a server and its successors.
type Line struct {
	t     *testing.T
	out   chan string
	first *exec.Cmd
	ended []string // what processes have said at their end

	// Of who serves.
	PID        int
	Generation int
	Addrs      []string
}

// Begin starts the first process of a line: this program, with more in its
// environment. It returns when that one serves. At the end of the test whoever is
// left is told to end.
func Begin(t *testing.T, env ...string) *Line {
	t.Helper()
	return BeginCommand(t, exec.Command(os.Args[0]), env...)
}

// BeginCommand is Begin with another command.
func BeginCommand(t *testing.T, cmd *exec.Cmd, env ...string) *Line {
	t.Helper()
	l := &Line{t: t, out: make(chan string, 64), first: cmd}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	l.first.Env = append(append(os.Environ(), "GORACE=atexit_sleep_ms=0"), env...)
	l.first.Stdout, l.first.Stderr = w, os.Stderr
	if err := l.first.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	go func() {
		defer close(l.out)
		defer r.Close()
		for in := bufio.NewScanner(r); in.Scan(); {
			l.out <- in.Text()
		}
	}()
	t.Cleanup(func() { l.end() })
	l.Serves()
	return l
}

// end ends whoever is left; the pipe ends with the last.
func (l *Line) end() {
	syscall.Kill(l.PID, syscall.SIGTERM)
	late := time.NewTimer(await.Patience)
	defer late.Stop()
	for {
		select {
		case _, ok := <-l.out:
			if !ok {
				l.first.Wait()
				return
			}
		case <-late.C:
			l.t.Error("processes are left")
			syscall.Kill(l.PID, syscall.SIGKILL)
			l.first.Process.Kill()
			l.first.Wait()
			return
		}
	}
}

// Says waits for a line that begins with a word.
func (l *Line) Says(word string) (rest string) {
	l.t.Helper()
	late := time.NewTimer(await.Patience)
	defer late.Stop()
	for {
		select {
		case s, ok := <-l.out:
			if !ok {
				l.t.Fatalf("all have ended without saying %s", word)
			}
			first, rest, _ := strings.Cut(s, " ")
			if first == word {
				return rest
			}
			if first == "ended" { // they take the time that they take
				l.ended = append(l.ended, rest)
			}
		case <-late.C:
			l.t.Fatalf("nobody says %s", word)
		}
	}
}

// Ends waits until n processes have ended, and wants them to have done so in order.
func (l *Line) Ends(n int) {
	l.t.Helper()
	for len(l.ended) < n {
		l.ended = append(l.ended, l.Says("ended"))
	}
	for _, how := range l.ended {
		if !strings.HasSuffix(how, " <nil>") {
			l.t.Errorf("a process has ended: %s", how)
		}
	}
}

// Serves waits until a process says that it does, and notes which.
func (l *Line) Serves() {
	l.t.Helper()
	f := strings.Fields(l.Says("ready"))
	l.Generation, _ = strconv.Atoi(f[0])
	l.PID, _ = strconv.Atoi(f[1])
	l.Addrs = f[2:]
}

// Signal tells who serves something.
func (l *Line) Signal(s syscall.Signal) {
	l.t.Helper()
	if err := syscall.Kill(l.PID, s); err != nil {
		l.t.Fatal(err)
	}
}
