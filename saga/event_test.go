package saga_test

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-go/weir/saga"
)

var now = time.Unix(1000, 0).UTC()

// record makes a saga of words: its state, and that of each step; a '*' marks
// the pivot, and "stuck/running" where a stuck saga came from and, with '!', the
// step.
func record(state string, steps ...string) saga.Record {
	r := saga.Record{ID: "x", Pivot: -1, Version: 7, Fence: 3}
	s, from, _ := strings.Cut(state, "/")
	r.State, r.From = saga.State(s), saga.State(from)
	for i, s := range steps {
		if strings.Contains(s, "*") {
			r.Pivot = i
		}
		if strings.Contains(s, "!") {
			r.At = i
		}
		r.Steps = append(r.Steps, saga.StepRecord{State: saga.StepState(strings.Trim(s, "*!"))})
	}
	return r
}

func show(r saga.Record) string {
	s := string(r.State)
	if r.From != "" {
		s += "/" + string(r.From)
	}
	for i := range r.Steps {
		s += " " + string(r.Steps[i].State)
		if r.Pivot == i {
			s += "*"
		}
		if r.State == saga.Stuck && r.At == i {
			s += "!"
		}
	}
	return s
}

var kinds = []saga.Kind{saga.Intend, saga.Confirm, saga.Reject, saga.Doubt, saga.Abort,
	saga.IntendUndo, saga.ConfirmUndo, saga.Stop, saga.Resume, saga.Skip, "nonsense"}

// legal are all transitions there are out of each of these: "event step: what
// comes of it". Every other event must be refused and change nothing.
var legal = map[string][]string{
	"running pending pending": {
		"intend 0: running intent pending",
		"abort: compensated pending pending",
	},
	"running intent pending": {
		"intend 0: running intent pending",
		"confirm 0: running done pending",
		"reject 0: running failed pending",
		"doubt 0: running unknown pending",
		"abort: compensating intent pending",
	},
	"running unknown pending": {
		"intend 0: running intent pending",
		"confirm 0: running done pending",
		"reject 0: running failed pending",
		"abort: compensating unknown pending",
	},
	"running failed pending": {"abort: compensated failed pending"},
	"running done pending": {
		"intend 1: running done intent",
		"abort: compensating done pending",
	},
	"running done intent": {
		"intend 1: running done intent",
		"confirm 1: succeeded done done",
		"reject 1: running done failed",
		"doubt 1: running done unknown",
		"abort: compensating done intent",
	},
	"running done failed": {"abort: compensating done failed"},
	// The pivot has not run: there is a way back.
	"running done pending*": {
		"intend 1: running done intent*",
		"abort: compensating done pending*",
	},
	"running done failed*": {"abort: compensating done failed*"},
	// It may have: there is none.
	"running intent* pending": {
		"intend 0: running intent* pending",
		"confirm 0: running done* pending",
		"reject 0: running failed* pending",
		"doubt 0: running unknown* pending",
		"stop 0: stuck/running intent*! pending",
	},
	"running unknown* pending": {
		"intend 0: running intent* pending",
		"confirm 0: running done* pending",
		"reject 0: running failed* pending",
		"stop 0: stuck/running unknown*! pending",
	},
	"running done* pending": {"intend 1: running done* intent"},
	"running done* failed":  {"stop 1: stuck/running done* failed!"},
	"running done* unknown": {
		"intend 1: running done* intent",
		"confirm 1: succeeded done* done",
		"reject 1: running done* failed",
		"stop 1: stuck/running done* unknown!",
	},
	"compensating done pending": {"intend undo 0: compensating undoing pending"},
	"compensating done done":    {"intend undo 1: compensating done undoing"},
	"compensating done intent":  {"intend undo 1: compensating done undoing"},
	"compensating done unknown": {"intend undo 1: compensating done undoing"},
	"compensating done failed":  {"intend undo 0: compensating undoing failed"},
	"compensating done undone":  {"intend undo 0: compensating undoing undone"},
	"compensating undoing undone": {
		"intend undo 0: compensating undoing undone",
		"confirm undo 0: compensated undone undone",
		"stop 0: stuck/compensating undoing! undone",
	},
	"compensating done undoing": {
		"intend undo 1: compensating done undoing",
		"confirm undo 1: compensating done undone",
		"stop 1: stuck/compensating done undoing!",
	},
	"stuck/running done* unknown!": {
		"resume: running done* unknown",
		"skip: succeeded done* done",
	},
	"stuck/compensating done undoing!": {
		"resume: compensating done undoing",
		"skip: compensating done undone",
	},
	"stuck/compensating undoing! undone": {
		"resume: compensating undoing undone",
		"skip: compensated undone undone",
	},
	"succeeded done done":       nil,
	"compensated undone failed": nil,
}

func TestTransitions(t *testing.T) {
	tried := 0
	for from, table := range legal {
		want := map[string]string{}
		for _, line := range table {
			event, to, _ := strings.Cut(line, ": ")
			want[event] = to
		}
		f := strings.Fields(from)
		for _, kind := range kinds {
			for step := -1; step <= len(f)-1; step++ {
				event := fmt.Sprintf("%s %d", kind, step)
				if kind == saga.Abort || kind == saga.Resume || kind == saga.Skip {
					event = string(kind)
				}
				to, legal := want[event]
				apply(t, record(f[0], f[1:]...), saga.Event{Kind: kind, Step: step, Result: []byte("r"), Reason: "why"}, to, legal)
				tried++
			}
		}
	}
	t.Logf("%d transitions", tried)
}

func apply(t *testing.T, r saga.Record, e saga.Event, to string, legal bool) {
	t.Helper()
	before, was := r.Clone(), show(r)
	err := r.Apply(e, now)
	if !legal {
		var illegal *saga.TransitionError
		if !errors.As(err, &illegal) || illegal.Event != e.Kind || illegal.Saga != before.State {
			t.Errorf("%s: %s %d: error %v, now %s", was, e.Kind, e.Step, err, show(r))
		}
		if !reflect.DeepEqual(r, before) {
			t.Errorf("%s: refused %s %d has changed it to %s", was, e.Kind, e.Step, show(r))
		}
		return
	}
	if err != nil || show(r) != to {
		t.Errorf("%s: %s %d: %v, now %s, want %s", was, e.Kind, e.Step, err, show(r), to)
	}
	if r.Version != before.Version || r.Fence != before.Fence || r.State.Ended() != r.Ended.Equal(now) {
		t.Errorf("%s: %s %d: %+v", was, e.Kind, e.Step, r)
	}
}

// TestBadRecords: a Log that was damaged is an error, and no panic.
func TestBadRecords(t *testing.T) {
	good := `{"id":"x","pivot":-1,"state":"running","steps":[{"state":"done"},{"state":"pending"}]}`
	var r saga.Record
	if err := r.UnmarshalBinary([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{`{"id"`, `"id"`},
		{`"x"`, `""`},
		{`-1`, `-2`},
		{`-1`, `2`},
		{`"running"`, `"walking"`},
		{`"running"`, `"compensated","from":"running"`},
		{`"running"`, `"stuck"`},
		{`"running"`, `"stuck","from":"stuck"`},
		{`"running"`, `"stuck","from":"running","at":2`},
		{`"running"`, `"stuck","from":"running","at":-1`},
		{`"pending"`, `"done"`},                                                               // it would have ended
		{`"running","steps":[{"state":"done"}`, `"compensating","steps":[{"state":"undone"}`}, // so would this
		{`"pending"`, `"lost"`},
		{`{"state":"done"},{"state":"pending"}`, ``},
		{`{"state":"done"}`, strings.Repeat(`{"state":"done"},`, saga.MaxSteps) + `{"state":"done"}`},
	} {
		b := strings.Replace(good, change[0], change[1], 1)
		if err := r.UnmarshalBinary([]byte(b)); !errors.Is(err, saga.ErrRecord) || r.State != saga.Running {
			t.Errorf("%s: %v, %+v", b, err, r)
		}
	}
}

// FuzzRecord: what can be read can be worked with, whatever it is.
func FuzzRecord(f *testing.F) {
	for _, from := range slices.Sorted(maps.Keys(legal)) { // a seed goes by its number
		w := strings.Fields(from)
		r := record(w[0], w[1:]...)
		b, err := r.AppendBinary(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"id":"x","pivot":7,"state":"stuck","from":"running","at":-3,"steps":[{"state":"done"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r saga.Record
		if err := r.UnmarshalBinary(b); err != nil {
			if !errors.Is(err, saga.ErrRecord) || !reflect.DeepEqual(r, saga.Record{}) {
				t.Fatalf("%v, %+v", err, r)
			}
			return
		}
		out, err := r.AppendBinary(nil)
		if err != nil {
			return // a year that JSON does not have
		}
		var again saga.Record
		if err := again.UnmarshalBinary(out); err != nil {
			t.Fatalf("%q was written as %q: %v", b, out, err)
		}
		for _, kind := range kinds {
			for step := range len(r.Steps) {
				c := r.Clone()
				c.Apply(saga.Event{Kind: kind, Step: step}, now)
			}
		}
	})
}
