// Package restart has a process take over listening sockets, and hand them to a
// successor that it starts itself, so that nobody is refused in between.
//
//	old process                        new process
//	    │ Restart: start ─────────────► │ Begin: the sockets are here
//	    │                               │ Listen, Open: accepts from them
//	    │ ◄───────────────────── ready  │ Ready
//	    │ accepts no more, go ────────► │ Ready returns
//	    │ Left                          ▼
//	    ▼ drains, ends
//
// Until the successor is ready the old process goes on as if nothing was: one that
// cannot be started, dies, or is not ready within Config.Patience costs a counter.
// There is one successor at a time. The new process does not differ in kind from
// the old one and may have a successor itself as soon as it is ready, also while
// the old one still drains.
//
// The first process of the line may get its sockets from a service manager
// (LISTEN_FDS, as systemd passes them), or open them. Package lifecycle's Kit does
// what Restart and Left ask for, on SIGHUP and SIGUSR2.
//
// Memory is not handed over: what has to last longer than a process belongs into a
// store. Where a supervisor watches a process and not a group (a container's first
// process, systemd without NotifyAccess=all) the end of the old process is the end
// of both; systemd is told the new one's number when it has given a NOTIFY_SOCKET.
package restart

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/sock"
)

var (
	ErrBusy   = errors.New("restart: a successor is being started")
	ErrEarly  = errors.New("restart: this process is not ready itself")
	ErrLeft   = errors.New("restart: a successor has the sockets already")
	ErrClosed = errors.New("restart: closed")
	ErrDied   = errors.New("restart: the successor ended before it was ready")
	ErrLate   = errors.New("restart: the successor was not ready in time")
	ErrName   = errors.New("restart: a name is not empty, of letters, digits and ._-@, and known once")
	ErrMany   = errors.New("restart: too many sockets")
)

// MaxSockets is how many a process can hand over: as many as one can take over.
const MaxSockets = sock.MaxListenFDs

// Config says how a successor is started. The zero value starts it as this process
// was started.
type Config struct {
	// Path is the program. "": os.Args[0], looked up again each time, from the
	// folder in which this process has begun: so a link that points to a new
	// version is followed.
	Path string
	Args []string // without the program's name. nil: os.Args[1:]
	Env  []string // nil: os.Environ()
	Dir  string   // working directory. "": the one in which this process has begun

	// Patience is how long a successor may take until it is ready; then it is
	// killed. 0: 30 s.
	Patience time.Duration
}

// Stats counts what has happened.
type Stats struct {
	Generation int // successors since the first process; 0 is the first
	Inherited  int // sockets that this process was given

	Started uint64 // successors
	Died    uint64 // of them, ended before they were ready
	Late    uint64 // of them, not ready in time
	Broken  uint64 // times that none could be started
	Busy    uint64 // times that Restart was refused: ErrBusy, ErrEarly, ErrLeft
}

// Sockets are the listening sockets of this process. All methods may be called
// from any goroutine.
type Sockets struct {
	cfg   Config
	begun string // working directory then
	left  chan struct{}

	mu        sync.Mutex
	inherited []inherited
	taken     map[string]bool // by Take and Rest; whether the file is ours
	parent    *os.File        // to who has started this process, until Ready
	kept      []kept
	files     []string // for Close to remove, of kept sockets that were forgotten
	stats     Stats
	ready     bool
	closed    bool
	gone      bool        // a successor has the sockets
	cancel    func(error) // of the successor being started
	idle      sync.Cond   // cancel is nil
}

// A kept socket is one that a successor gets.
type kept struct {
	name string
	l    Listener
	ours bool   // a Unix socket whose file this process or one before it has made
	file string // that one's, when Close is to remove it
}

// Listener is what can be handed over: conn's and netconn's Listener, and with Net
// those of package net.
type Listener interface {
	// Dups returns duplicates of its sockets' descriptors, which are the
	// caller's. It may be called several times. An error that is conn.ErrClosed
	// says that its owner has closed it: a successor does not get it. Any other
	// fails the restart.
	Dups() ([]int, error)

	// Leave says that another process accepts from the sockets now. It must
	// not wait for anything, and does nothing to one that is closed.
	Leave()
}

// Begin takes over what this process was given. It belongs to the start of a
// program, before anything is opened or started: descriptors and the environment
// are the process's. A second Begin finds nothing.
//
// Errors: what conn.ListenFDs says about a service manager's sockets, and what
// getwd(2) says.
func Begin(cfg Config) (*Sockets, error) {
	if cfg.Patience <= 0 {
		cfg.Patience = 30 * time.Second
	}
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	s := &Sockets{cfg: cfg, begun: dir, left: make(chan struct{}), taken: make(map[string]bool)}
	s.idle.L = &s.mu
	text := os.Getenv(variable)
	os.Unsetenv(variable)
	if w, fd, ok := parentOf(text); ok {
		s.inherit(w, fd)
		return s, nil
	}
	managed, err := conn.ListenFDs()
	if err != nil {
		return nil, err
	}
	for _, m := range managed {
		s.inherited = append(s.inherited, inherited{name: m.Name, fd: m.FD, managed: true})
	}
	s.stats.Inherited = len(s.inherited)
	return s, nil
}

// Left is closed when a successor has the sockets: the process drains and ends.
func (s *Sockets) Left() <-chan struct{} { return s.left }

// Generation returns how many processes there were before this one.
func (s *Sockets) Generation() int { return s.Stats().Generation }

// Stats returns the counts.
func (s *Sockets) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// Close ends the successor that is being started, if there is one, closes what was
// inherited and nobody has asked for, and removes the files of Unix sockets that
// were inherited from a predecessor who made them, unless that one still serves
// there, for this process was not ready. Listeners are their owners' to close,
// after this. Closing again does nothing.
func (s *Sockets) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if s.cancel != nil {
		s.cancel(ErrClosed)
	}
	for s.cancel != nil {
		s.idle.Wait()
	}
	s.drop()
	if s.parent != nil {
		s.parent.Close()
		s.parent = nil
	}
	if s.ready && !s.gone {
		for _, k := range s.kept {
			s.files = append(s.files, k.file)
		}
		for _, file := range s.files {
			if file != "" {
				os.Remove(file)
			}
		}
	}
	return nil
}

// drop closes what nobody has asked for. mu is held.
func (s *Sockets) drop() {
	for _, i := range s.inherited {
		sock.Close(i.fd)
	}
	s.inherited = nil
}

// program is what is started, and where.
func (s *Sockets) program() (path, dir string, args []string, err error) {
	dir, path, args = s.cfg.Dir, s.cfg.Path, s.cfg.Args
	if dir == "" {
		dir = s.begun
	}
	if path == "" {
		path = os.Args[0]
	}
	name := path
	if strings.Contains(path, "/") {
		if !filepath.IsAbs(path) {
			path = filepath.Join(s.begun, path)
		}
	} else if path, err = exec.LookPath(path); err != nil {
		return "", "", nil, fmt.Errorf("restart: %w", err)
	}
	if args == nil {
		args = os.Args[1:]
	}
	return path, dir, append([]string{name}, args...), nil
}
