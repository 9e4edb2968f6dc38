package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-go/weir/bench/internal/line"
	"github.com/weir-go/weir/bench/internal/proc"
)

// subject is a server that takes part.
type subject struct {
	id      string
	command []string // of the server process; a face of our own understands faceFlags after it
	ours    bool
}

// patience is how long a process may take to answer. Servers and drivers answer in milliseconds; this only ends a
// run that would hang.
const patience = 30 * time.Second

// faces are the servers this binary contains.
func (b *bench) faces() []subject {
	var all []subject
	for _, face := range []string{"std", "callback", "blocking"} {
		all = append(all, subject{id: face, command: []string{b.self, "serve", "-face", face}, ours: true})
	}
	return all
}

// chosen are the subjects the command line asks for, in its order; all when it names none.
func (b *bench) chosen(all []subject) ([]subject, error) {
	if len(b.subjects) == 0 {
		return all, nil
	}
	var picked []subject
	for _, id := range b.subjects {
		i := slices.IndexFunc(all, func(s subject) bool { return s.id == id })
		if i < 0 {
			return nil, fmt.Errorf("no subject is called %q; there is: %s", id, ids(all))
		}
		picked = append(picked, all[i])
	}
	return picked, nil
}

func ids(subjects []subject) string {
	var names []string
	for _, s := range subjects {
		names = append(names, s.id)
	}
	return strings.Join(names, ", ")
}

// place says where a server runs: held on one core with one P, or free with all of them.
type place struct {
	core, procs int
}

func (b *bench) onOneCore() place { return place{b.serverCore, 1} }

func everywhere() place { return place{proc.Anywhere, runtime.NumCPU()} }

// server is a running server and where it listens.
type server struct {
	*proc.Proc
	addr string
}

// start runs a subject's server and returns when it listens. Flags are for our own faces only.
func (b *bench) start(s subject, at place, flags ...string) (*server, error) {
	args := s.command[1:]
	if s.ours {
		args = slices.Concat(args, flags)
	}
	cmd := exec.Command(s.command[0], args...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(at.procs))
	p, err := proc.Start(cmd, at.core)
	if err != nil {
		return nil, err
	}
	first, err := p.Line(patience)
	addr, ok := strings.CutPrefix(first, line.Listening+" ")
	if err == nil && !ok {
		err = fmt.Errorf("server %s says %q instead of where it listens", s.id, first)
	}
	if err != nil {
		p.Stop(0)
		return nil, err
	}
	return &server{p, addr}, nil
}

// can asks the server for something it may refuse.
func (s *server) can(word string) (bool, error) {
	answer, err := s.Ask(word, patience)
	return answer == line.OK, err
}

// number asks the server for a number; ok is false when it does not know.
func (s *server) number(word string) (n float64, ok bool, err error) {
	answer, err := s.Ask(word, patience)
	if err != nil {
		return 0, false, err
	}
	n, bad := strconv.ParseFloat(answer, 64)
	return n, bad == nil, nil
}
