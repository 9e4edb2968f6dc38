package sock

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// firstListenFD is where the descriptors of socket activation start, behind
// standard input, output and error (sd_listen_fds(3)).
const firstListenFD = 3

// MaxListenFDs bounds how many descriptors ListenFDs takes over.
const MaxListenFDs = 1024

// ListenFD is a descriptor handed over by the service manager, which may be
// any kind of file: ask IsListening and IsStream. Name is "" when none was
// given.
type ListenFD struct {
	FD   int
	Name string
}

// ListenFDs returns the descriptors that a service manager opened for this
// process (systemd's protocol: LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES), read
// through env, which is os.Getenv but in tests; pid is os.Getpid(). Nothing
// set, or set for another process, is none.
//
// The descriptors become close-on-exec, the stream sockets among them
// non-blocking too, and the caller owns them from then on. The variables stay:
// call UnsetListenFDs so that children do not take them for theirs.
//
// The error is ErrListenFDs when the variables make no sense, or a system
// error (EBADF) when a descriptor that they promise is not open.
func ListenFDs(env func(string) string, pid int) ([]ListenFD, error) {
	fds, err := parseListenFDs(env, pid)
	if err != nil {
		return nil, err
	}
	// All are looked at before one is touched: when the promise is wrong they
	// may be somebody else's.
	for _, l := range fds {
		if err := isOpen(l.FD); err != nil {
			return nil, err
		}
	}
	for _, l := range fds {
		SetCloseOnExec(l.FD)
		// Others (a pipe, a directory) may not bear it, or belong to somebody.
		if ok, _ := IsStream(l.FD); !ok {
			continue
		}
		if err := SetNonblock(l.FD); err != nil {
			return nil, err
		}
	}
	return fds, nil
}

// UnsetListenFDs removes the variables that ListenFDs reads.
func UnsetListenFDs() {
	for _, name := range []string{"LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(name)
	}
}

// parseListenFDs is the part of ListenFDs that touches no descriptor.
func parseListenFDs(env func(string) string, pid int) ([]ListenFD, error) {
	forPID, count, names := env("LISTEN_PID"), env("LISTEN_FDS"), env("LISTEN_FDNAMES")
	if forPID == "" || count == "" {
		return nil, nil
	}
	p, err := strconv.ParseUint(forPID, 10, 31)
	if err != nil {
		return nil, fmt.Errorf("%w: LISTEN_PID %q", ErrListenFDs, forPID)
	}
	if int(p) != pid {
		return nil, nil
	}
	n, err := strconv.ParseUint(count, 10, 31)
	if err != nil || n > MaxListenFDs {
		return nil, fmt.Errorf("%w: LISTEN_FDS %q", ErrListenFDs, count)
	}
	if n == 0 {
		return nil, nil
	}
	fds := make([]ListenFD, n)
	for i := range fds {
		fds[i].FD = firstListenFD + i
	}
	if names == "" {
		return fds, nil
	}
	// Counted first: the text may be long, the list must not be.
	if uint64(strings.Count(names, ":"))+1 != n {
		return nil, fmt.Errorf("%w: LISTEN_FDNAMES does not name %d descriptors", ErrListenFDs, n)
	}
	for i, name := range strings.Split(names, ":") {
		fds[i].Name = name
	}
	return fds, nil
}
