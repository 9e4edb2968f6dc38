package restart

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/sock"
)

// An inherited socket is one that nobody has asked for yet.
type inherited struct {
	name    string
	fd      int
	managed bool // by a service manager, which gives names of its own
	ours    bool // a Unix socket whose file a predecessor has made
}

// Listen is lc.Listen on the sockets that this process was given under a name, or
// on new ones, which a successor is given. Names are the program's choice, one for
// each listener; a service manager's sockets may have any name if their address is
// at. An address that has changed since means new sockets; a port of zero is the
// one that there is. Errors: ErrName, ErrMany, and those of lc.Listen and Adopt.
func (s *Sockets) Listen(rt *conn.Runtime, name string, lc conn.ListenConfig, at conn.Addr, serve conn.Serve) (*conn.Listener, error) {
	return open(s, name, at, MaxSockets,
		func() (*conn.Listener, error) { return lc.Listen(rt, at, serve) },
		func(fds []int) (*conn.Listener, error) { return lc.AdoptAll(rt, fds, serve) })
}

// Open is Sockets.Listen for other listeners: listen opens a new one, adopt makes
// one of a socket that was handed over, which is adopt's.
//
//	l, err := restart.Open(s, "admin", at,
//		func() (*netconn.Listener, error) { return netconn.Listen(rt, at) },
//		func(fd int) (*netconn.Listener, error) { return netconn.ListenConfig{}.Adopt(rt, fd) })
//
// A listener of several sockets (conn.PerLoop) is OpenAll's: with any that nobody
// takes over go the connections that wait at it.
func Open[L Listener](s *Sockets, name string, at conn.Addr, listen func() (L, error), adopt func(fd int) (L, error)) (L, error) {
	return open(s, name, at, 1, listen, func(fds []int) (L, error) { return adopt(fds[0]) })
}

// OpenAll is Open for listeners that may have several sockets: adopt gets all that
// were handed over, as netconn.ListenConfig's AdoptAll does.
func OpenAll[L Listener](s *Sockets, name string, at conn.Addr, listen func() (L, error), adopt func(fds []int) (L, error)) (L, error) {
	return open(s, name, at, MaxSockets, listen, adopt)
}

func open[L Listener](s *Sockets, name string, at conn.Addr, most int, listen func() (L, error), adopt func([]int) (L, error)) (L, error) {
	var none L
	if err := s.known(name); err != nil {
		return none, err
	}
	taken, ours := s.take(name, at, most)
	k, l, err := kept{name: name, ours: ours}, none, error(nil)
	if len(taken) > 0 {
		l, err = adopt(taken)
		if ours {
			k.file = at.Path
		}
	} else {
		l, err = listen() // which removes a file that it makes
		k.ours = isFile(at)
	}
	if err != nil {
		return none, err
	}
	k.l = l
	s.keep(k)
	return l, nil
}

// Take returns descriptors that this process was given under a name, as Listen
// would find them, and that nobody has asked for yet; they are the caller's. It is
// for listeners that are made elsewhere, which Keep hands on.
func (s *Sockets) Take(name string, at conn.Addr) []int {
	fds, ours := s.take(name, at, MaxSockets)
	s.note(name, fds, ours)
	return fds
}

// Rest is Take of all that a service manager has passed and nobody has asked for:
// for a program's only listener, or its last, whatever the manager calls it.
func (s *Sockets) Rest(name string) []int {
	s.mu.Lock()
	fds, _ := s.matching(MaxSockets, func(i inherited) bool { return i.managed })
	s.mu.Unlock()
	s.note(name, fds, false)
	return fds
}

// note remembers whose the files of sockets are that Keep will be told of.
func (s *Sockets) note(name string, fds []int, ours bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(fds) > 0 && nameable(name) {
		s.taken[name] = ours
	}
}

// Keep has a successor be given what a listener at an address accepts from, under
// a name: what Listen and Open have returned is known already. Errors: as Listen's.
func (s *Sockets) Keep(name string, at conn.Addr, l Listener) error {
	if err := s.known(name); err != nil {
		return err
	}
	k := kept{name: name, l: l, ours: isFile(at)}
	s.mu.Lock()
	if ours, taken := s.taken[name]; taken {
		if k.ours = ours; ours {
			k.file = at.Path
		}
	}
	s.mu.Unlock()
	s.keep(k)
	return nil
}

// Forget takes back what Listen, Open and Keep have noted under a name, whose
// listener the program closes: a successor is not given it, and the name is free.
// It is not needed where a listener is only closed, for what is closed is left out
// anyway, but for a program that opens another one under its name, or many in its
// time (MaxSockets).
//
// The file of a Unix socket that a predecessor has made, and that nobody else
// removes, Forget removes: so before another listener is opened there. It is left
// to Close if the predecessor may still serve there.
//
// Errors: ErrName when there is none of that name; ErrBusy while a successor is
// being started, which may have it already, so that Forget is of use when Restart
// has returned; ErrLeft when a successor has it, ErrClosed after Close.
func (s *Sockets) Forget(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.kept, func(k kept) bool { return k.name == name })
	switch {
	case s.closed:
		return ErrClosed
	case s.gone:
		return ErrLeft
	case i < 0:
		return fmt.Errorf("%w: nobody is kept as %q", ErrName, name)
	case s.cancel != nil:
		return ErrBusy
	}
	switch file := s.kept[i].file; {
	case file == "":
	case s.ready:
		os.Remove(file)
	default:
		s.files = append(s.files, file)
	}
	s.kept = slices.Delete(s.kept, i, i+1)
	delete(s.taken, name)
	return nil
}

// isFile reports whether listening there makes a file.
func isFile(at conn.Addr) bool { return at.IsUnix() && !strings.HasPrefix(at.Path, "@") }

func (s *Sockets) keep(k kept) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = append(s.kept, k)
	if s.gone { // between the question and now
		k.l.Leave()
	}
}

// known asks whether a name may be another one.
func (s *Sockets) known(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !nameable(name):
		return fmt.Errorf("%w: %.*q, of %d bytes, which may be %d", ErrName, maxName, name, len(name), maxName)
	case len(s.kept) >= MaxSockets:
		return ErrMany
	case s.closed:
		return ErrClosed
	case s.gone:
		return ErrLeft
	}
	for _, k := range s.kept {
		if k.name == name {
			return fmt.Errorf("%w: there is one called %q already", ErrName, name)
		}
	}
	return nil
}

// take finds what was inherited under a name, or else at an address from a
// service manager.
func (s *Sockets) take(name string, at conn.Addr, most int) (fds []int, ours bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fds, ours = s.matching(most, func(i inherited) bool { return i.name == name && (i.managed || s.at(i.fd, at)) })
	if len(fds) == 0 {
		fds, ours = s.matching(most, func(i inherited) bool { return i.managed && s.at(i.fd, at) })
	}
	return fds, ours
}

func (s *Sockets) matching(most int, is func(inherited) bool) (fds []int, ours bool) {
	rest := s.inherited[:0:0]
	for _, i := range s.inherited {
		if len(fds) >= most || !is(i) {
			rest = append(rest, i)
			continue
		}
		fds = append(fds, i.fd)
		ours = ours || i.ours
	}
	s.inherited = rest
	return fds, ours
}

// at reports whether a descriptor is a socket at an address.
func (s *Sockets) at(fd int, at conn.Addr) bool {
	is, err := sock.LocalAddr(fd)
	if err != nil || is.IsUnix() != at.IsUnix() {
		return false
	}
	if at.IsUnix() {
		return is.Path == at.Path
	}
	if at.IP.Port() != 0 && at.IP.Port() != is.IP.Port() {
		return false
	}
	have, want := is.IP.Addr().Unmap(), at.IP.Addr().Unmap()
	return have == want || have.IsUnspecified() && want.IsUnspecified()
}

// Net makes a Listener of package net one that can be handed over. It goes on
// accepting beside the successor until its server closes it. The file of a Unix
// socket is not removed by who has handed it over.
func Net[L SyscallConner](l L) NetListener[L] { return NetListener[L]{l} }

// SyscallConner is what *net.TCPListener and *net.UnixListener have.
type SyscallConner interface {
	SyscallConn() (syscall.RawConn, error)
}

// NetListener is a listener of package net, with what a Listener has.
type NetListener[L SyscallConner] struct{ L L }

// Dups returns a duplicate of the listener's descriptor. conn.ErrClosed after
// Close.
func (n NetListener[L]) Dups() ([]int, error) {
	raw, err := n.L.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	if cerr := raw.Control(func(of uintptr) { fd, err = sock.Dup(int(of)) }); cerr != nil {
		return nil, fmt.Errorf("%w: %w", conn.ErrClosed, cerr) // it has no other
	}
	if err != nil {
		return nil, err
	}
	return []int{fd}, nil
}

// Leave has Close leave a Unix socket's file alone.
func (n NetListener[L]) Leave() {
	if unix, ok := any(n.L).(interface{ SetUnlinkOnClose(bool) }); ok {
		unix.SetUnlinkOnClose(false)
	}
}
