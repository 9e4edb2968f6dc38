package restart

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/sock"
)

// Restart starts a successor and returns nil when it is ready: then this process
// accepts no more, and Left is closed. With an error all is as it was before:
// ErrBusy, ErrEarly and ErrLeft when there is nothing to be done; ErrDied with how
// it has ended; ErrLate; ErrClosed; ctx's cause; and what the system says about
// duplicates and new processes.
//
// A successor that accepts connections and then dies before it is ready takes them
// with it: programs open their listeners last.
func (s *Sockets) Restart(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if err := s.enter(cancel); err != nil {
		return err
	}
	err := s.succeed(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel = nil
	s.idle.Broadcast()
	switch {
	case errors.Is(err, ErrDied):
		s.stats.Died++
	case errors.Is(err, ErrLate):
		s.stats.Late++
	case err != nil && ctx.Err() == nil:
		s.stats.Broken++
	}
	return err
}

// enter makes the caller the one who starts a successor.
func (s *Sockets) enter(cancel func(error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := error(nil)
	switch {
	case s.closed:
		return ErrClosed
	case s.gone:
		err = ErrLeft
	case s.cancel != nil:
		err = ErrBusy
	case !s.ready:
		err = ErrEarly
	}
	if err != nil {
		s.stats.Busy++
		return err
	}
	s.cancel = cancel
	return nil
}

// succeed starts a successor and waits until it is ready.
func (s *Sockets) succeed(ctx context.Context) error {
	child, line, err := s.launch()
	if err != nil {
		return err
	}
	defer line.Close()
	s.mu.Lock()
	s.stats.Started++
	s.mu.Unlock()
	late := time.Now().Add(s.cfg.Patience)
	if err := s.hear(ctx, line, late); err != nil {
		return bury(ctx, child, late, err)
	}
	s.leave()
	line.Write([]byte{goOn}) // when it has died since, nobody listens
	return child.Release()
}

// bury ends a successor that is not to be one, and returns why. One that has hung up
// is ending by itself, and has yet to say why and to put things in order: it is
// killed only when that takes too long.
func bury(ctx context.Context, child *os.Process, late time.Time, why error) error {
	if why != ErrDied {
		late = time.Time{}
	}
	ctx, cancel := context.WithDeadline(ctx, late)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { child.Kill() })
	state, err := child.Wait()
	stop()
	if errors.Is(why, ErrDied) && err == nil {
		why = fmt.Errorf("%w: %v", why, state)
	}
	return why
}

// hear waits until the successor says that it is ready. The error is ErrDied itself
// when it has hung up.
func (s *Sockets) hear(ctx context.Context, line *os.File, late time.Time) error {
	line.SetReadDeadline(late)
	stop := context.AfterFunc(ctx, func() { line.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var word [1]byte
	_, err := io.ReadFull(line, word[:])
	switch {
	case err == nil && word[0] == ready:
		return nil
	case err == nil:
		return fmt.Errorf("%w: it speaks another language", ErrDied)
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return ErrDied
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return ErrLate
}

// leave gives the sockets up.
func (s *Sockets) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
	for _, k := range s.kept {
		k.l.Leave()
	}
	close(s.left)
}

// launch starts the process. line is the end of this one.
//
// The descriptors are given as they are, and not as files: what package os does to
// a file on its way to a child would make the sockets blocking, for this process
// too, because they are the same open sockets.
func (s *Sockets) launch() (child *os.Process, line *os.File, err error) {
	w, fds, err := s.will()
	defer func() {
		for _, fd := range fds {
			sock.Close(fd)
		}
	}()
	if err != nil {
		return nil, nil, err
	}
	pair, err := sock.Pair()
	if err != nil {
		return nil, nil, err
	}
	defer sock.Close(pair[1])
	line = os.NewFile(uintptr(pair[0]), "successor")
	path, dir, argv, err := s.program()
	if err == nil {
		_, err = line.Write([]byte(w.token))
	}
	if err != nil {
		line.Close()
		return nil, nil, err
	}
	files := []uintptr{0, 1, 2}
	for _, fd := range append(fds, pair[1]) {
		files = append(files, uintptr(fd))
	}
	pid, err := syscall.ForkExec(path, argv, &syscall.ProcAttr{Dir: dir, Env: s.environment(w), Files: files})
	if err == nil {
		child, err = os.FindProcess(pid)
	} else {
		err = os.NewSyscallError("fork/exec "+path, err)
	}
	if err != nil {
		line.Close()
		return nil, nil, err
	}
	return child, line, nil
}

// will is what a successor gets: duplicates, which are the caller's, also beside
// an error, and their description.
func (s *Sockets) will() (w will, fds []int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w = will{token: rand.Text(), generation: s.stats.Generation + 1}
	for _, k := range s.kept {
		more, err := k.l.Dups()
		if errors.Is(err, conn.ErrClosed) {
			continue // its owner serves there no more: a successor that does listens anew
		}
		if err != nil {
			return w, fds, fmt.Errorf("restart: %s: %w", k.name, err)
		}
		fds = append(fds, more...)
		for range more {
			w.entries = append(w.entries, entry{k.name, k.ours})
		}
	}
	if len(fds) > MaxSockets {
		return w, fds, ErrMany
	}
	return w, fds, nil
}

// environment is the successor's.
func (s *Sockets) environment(w will) []string {
	from := s.cfg.Env
	if from == nil {
		from = os.Environ()
	}
	env := make([]string, 0, len(from)+1)
	for _, v := range from {
		switch name, _, _ := strings.Cut(v, "="); name {
		case variable, "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES":
		default:
			env = append(env, v)
		}
	}
	return append(env, variable+"="+w.String())
}
