package sock

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// environ is an environment for ListenFDs.
type environ map[string]string

func (e environ) get(name string) string { return e[name] }

func TestParseListenFDs(t *testing.T) {
	const pid = 42
	long := strings.Repeat(":", MaxListenFDs-1)
	for _, c := range []struct {
		pid, fds, names string
		want            string // "FD=name ..."
		err             error
	}{
		{"", "", "", "", nil},
		{"42", "", "", "", nil},
		{"", "2", "", "", nil},
		{"41", "2", "", "", nil},
		{"41", "nonsense", "", "", nil}, // for somebody else: not looked at
		{"42", "0", "", "", nil},
		{"42", "1", "", "3=", nil},
		{"42", "2", "", "3= 4=", nil},
		{"42", "2", "http:admin", "3=http 4=admin", nil},
		{"42", "3", "a::c", "3=a 4= 5=c", nil},
		{"42", "2", "http", "", ErrListenFDs},
		{"42", "1", "http:admin", "", ErrListenFDs},
		{"42", "-1", "", "", ErrListenFDs},
		{"42", "x", "", "", ErrListenFDs},
		{"42", "1025", "", "", ErrListenFDs},
		{"42", "99999999999999999999", "", "", ErrListenFDs},
		{"x", "1", "", "", ErrListenFDs},
		{"-42", "1", "", "", ErrListenFDs},
		{"42", "1024", long + ":", "", ErrListenFDs},
	} {
		e := environ{"LISTEN_PID": c.pid, "LISTEN_FDS": c.fds, "LISTEN_FDNAMES": c.names}
		fds, err := parseListenFDs(e.get, pid)
		if !errors.Is(err, c.err) {
			t.Errorf("%v: %v, want %v", e, err, c.err)
		}
		var got []string
		for _, l := range fds {
			got = append(got, fmt.Sprintf("%d=%s", l.FD, l.Name))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%v: %q, want %q", e, got, c.want)
		}
	}
	full := environ{"LISTEN_PID": "42", "LISTEN_FDS": "1024", "LISTEN_FDNAMES": long}
	if fds, err := parseListenFDs(full.get, pid); len(fds) != MaxListenFDs || err != nil {
		t.Errorf("%d descriptors, %v", len(fds), err)
	}
}

func FuzzListenFDs(f *testing.F) {
	f.Add("42", "2", "a:b")
	f.Add("42", "1024", "")
	f.Add("42", "+1", "")
	f.Add("42", "007", "x:x:x:x:x:x:x")
	f.Add("", "1", ":")
	f.Fuzz(func(t *testing.T, pid, fds, names string) {
		e := environ{"LISTEN_PID": pid, "LISTEN_FDS": fds, "LISTEN_FDNAMES": names}
		before := maps.Clone(e)
		got, err := parseListenFDs(e.get, 42)
		if err != nil && (!errors.Is(err, ErrListenFDs) || got != nil) {
			t.Fatalf("%v: %v, %v", e, got, err)
		}
		if len(got) > MaxListenFDs || !maps.Equal(e, before) {
			t.Fatalf("%v: %d descriptors", e, len(got))
		}
		if len(got) == 0 {
			return
		}
		if n, _ := strconv.Atoi(fds); n != len(got) {
			t.Fatalf("%v: %d descriptors", e, len(got))
		}
		var list []string
		for i, l := range got {
			if l.FD != firstListenFD+i {
				t.Fatalf("%v: %v", e, got)
			}
			list = append(list, l.Name)
		}
		if names != "" && !slices.Equal(list, strings.Split(names, ":")) {
			t.Fatalf("%v: %q", e, list)
		}
	})
}
