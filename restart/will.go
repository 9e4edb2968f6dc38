package restart

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/weir-go/weir/internal/sock"
)

// A successor finds its descriptors as those of socket activation are found, from
// 3 on, and behind them a socket to its predecessor:
//
//	3 ... 2+n   listening sockets
//	3+n         the predecessor: a token is in it; ready ─►, ◄─ goOn
//
// The variable says what they are: a version, the generation, the token, and a
// name for each socket, with a + before those whose Unix file is the line's own.
//
//	WEIR_RESTART=1,2,K7R...,echo,+admin
//
// The token tells the successor from its children, and theirs, that have inherited
// a variable which nobody has removed: they do not find it at that descriptor.
const (
	variable = "WEIR_RESTART"
	version  = "1"
	firstFD  = 3

	ready = 'R' // the successor accepts
	goOn  = 'G' // the predecessor does not
)

// will is what the variable says.
type will struct {
	generation int
	token      string
	entries    []entry
}

type entry struct {
	name string
	ours bool
}

func (w will) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s,%d,%s", version, w.generation, w.token)
	for _, e := range w.entries {
		b.WriteByte(',')
		if e.ours {
			b.WriteByte('+')
		}
		b.WriteString(e.name)
	}
	return b.String()
}

// parseWill reads what String has written. What is anything else is refused: it is
// another program's, or another version's.
func parseWill(text string) (w will, ok bool) {
	if len(text) > (MaxSockets+4)*(maxName+2) {
		return will{}, false
	}
	fields := strings.Split(text, ",")
	if len(fields) < 3 || len(fields) > 3+MaxSockets || fields[0] != version || !nameable(fields[2]) {
		return will{}, false
	}
	n, err := strconv.ParseUint(fields[1], 10, 31)
	if err != nil || strconv.FormatUint(n, 10) != fields[1] {
		return will{}, false
	}
	w = will{generation: int(n), token: fields[2]}
	for _, f := range fields[3:] {
		name, ours := strings.CutPrefix(f, "+")
		if !nameable(name) {
			return will{}, false
		}
		w.entries = append(w.entries, entry{name, ours})
	}
	return w, true
}

// maxName is as long as a name may be.
const maxName = 255

// nameable reports whether a listener may have a name.
func nameable(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("._-@", c) >= 0) {
			return false
		}
	}
	return true
}

// parentOf returns the will and the descriptor of the predecessor, if there is
// one and it has meant this process.
func parentOf(text string) (w will, fd int, ok bool) {
	if w, ok = parseWill(text); !ok {
		return w, -1, false
	}
	fd = firstFD + len(w.entries)
	if stream, err := sock.IsStream(fd); err != nil || !stream {
		return w, -1, false
	}
	there := make([]byte, len(w.token))
	n, _, err := unix.Recvfrom(fd, there, unix.MSG_PEEK|unix.MSG_DONTWAIT)
	if err != nil || string(there[:n]) != w.token {
		return w, -1, false
	}
	unix.Recvfrom(fd, there, unix.MSG_DONTWAIT)
	return w, fd, true
}

// inherit takes the descriptors over.
func (s *Sockets) inherit(w will, fd int) {
	for i, e := range w.entries {
		sock.SetCloseOnExec(firstFD + i)
		s.inherited = append(s.inherited, inherited{name: e.name, fd: firstFD + i, ours: e.ours})
	}
	sock.SetCloseOnExec(fd)
	sock.SetNonblock(fd)
	s.parent = os.NewFile(uintptr(fd), "predecessor")
	s.stats.Generation, s.stats.Inherited = w.generation, len(w.entries)
}
