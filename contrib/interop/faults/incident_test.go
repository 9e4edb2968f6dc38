//go:build linux

package faults

import (
	"testing"
	"time"

	"github.com/weir-go/weir/internal/await"
	"github.com/weir-go/weir/internal/leak"
)

// outcome is what a server was seen to do under the load.
type outcome struct {
	tally
	at watched
}

// replay is the incident: far more clients that want to stay than there are
// descriptors, for so long at least, and until what is to happen has.
func replay(t *testing.T, server *process, during time.Duration, clients string, has func(*tally) bool) (o outcome) {
	t.Helper()
	admin := begin(t, "probe", "ADDR="+server.ready[1])
	crowd := begin(t, "load", "ADDR="+server.ready[0], "N="+clients)
	<-time.After(during / 4) // the start is not what is measured
	admin.ask(&o.at)
	first := o.at
	ran, waited := server.spent()
	<-time.After(during * 3 / 4)
	ran2, waited2 := server.spent()
	crowd.ask(&o.tally)
	for end := time.Now().Add(await.Patience); !has(&o.tally); crowd.ask(&o.tally) {
		if time.Now().After(end) {
			t.Fatalf("the load is not what it is meant to be: %+v", o.tally)
		}
		<-time.After(50 * time.Millisecond)
	}
	admin.ask(&o.at)
	part := float64(during * 3 / 4)
	t.Logf("%+v", o.tally)
	t.Logf("server: %.1f %% of a core, and ready without one for %.1f %% of the time",
		100*float64(ran2-ran)/part, 100*float64(waited2-waited)/part)
	t.Logf("admin: %+v; in the beginning %+v", o.at, first)
	o.at.None += first.None
	crowd.ask(&o.tally)
	crowd.end()
	return o
}

// TestIncident: 500 clients of grpc-go's want streams of a server with 256
// descriptors, and beat ten times a second. Each that is refused hears so, those
// that are let in lose nothing, single calls go on, the admin port answers, and
// streams come back when the load has gone.
func TestIncident(t *testing.T) {
	leak.FDs(t)
	during, n, settings := 1500*time.Millisecond, "300", []string{"LIMIT=256", "QUICK=1"}
	if long() {
		during, n, settings = time.Minute, "500", settings[:1]
	}
	server := begin(t, "weir", settings...)
	o := replay(t, server, during, n, func(o *tally) bool {
		// How many have streams is a matter of who came first: it may be nobody, if
		// all had connections before one had asked.
		return o.Shed > 0 && o.Away > 0 && o.Once > 0
	})
	if o.Silent+o.Lost+o.Mute+o.Wrong > 0 {
		t.Errorf("refused without a word %d, lost %d, unary without an answer %d, wrong %d: %v", o.Silent, o.Lost, o.Mute, o.Wrong, o.Why)
	}
	if o.at.None > 0 {
		t.Errorf("admin: no answer %d times", o.at.None)
	}

	began := time.Now()
	crowd := begin(t, "load", "ADDR="+server.ready[0], "N=50")
	var back tally
	deadline := time.After(3 * await.Patience)
	for back.Granted < 50 {
		select {
		case <-deadline:
			t.Fatalf("streams do not come back: %+v", back)
		case <-time.After(50 * time.Millisecond):
			crowd.ask(&back)
		}
	}
	t.Logf("streams are back after %v", time.Since(began))
	crowd.end()
	if back.Silent+back.Lost+back.Mute+back.Wrong > 0 {
		t.Errorf("afterwards: %+v", back)
	}
	if long() {
		unharmed(t, server)
	}
	var a account
	await.Until(t, "the clients have gone", func() bool { server.ask(&a); return a.Streams == 0 && a.Sessions == 0 })
	t.Logf("%+v", a)
	if a.Twice+a.Disorder != 0 || a.Panics != 0 || a.Errors != 0 {
		t.Errorf("%d calls served twice, %d messages out of order, %d panics, %d sessions broken", a.Twice, a.Disorder, a.Panics, a.Errors)
	}
	if refusals := int64(a.NotAdmitted + a.Farewells + a.NoWorker); refusals < o.Shed+o.Away+o.Busy {
		t.Errorf("clients were refused %d times, the server knows of %d", o.Shed+o.Away+o.Busy, refusals)
	}
}

// unharmed says what the server needs for its admin page alone, and for clients
// that all have streams: what it needs more than that at its limit, it needs for
// the others.
func unharmed(t *testing.T, server *process) {
	const during = 20 * time.Second
	admin := begin(t, "probe", "ADDR="+server.ready[1])
	measure := func(what string) {
		var at watched
		admin.ask(&at)
		ran, waited := server.spent()
		<-time.After(during)
		ran2, waited2 := server.spent()
		admin.ask(&at)
		t.Logf("%s: %.1f %% of a core, ready without one for %.1f %%; admin: %+v",
			what, 100*float64(ran2-ran)/float64(during), 100*float64(waited2-waited)/float64(during), at)
	}
	measure("nobody there")
	crowd := begin(t, "load", "ADDR="+server.ready[0], "N=150")
	var before, after tally
	await.Until(t, "all have streams", func() bool { crowd.ask(&before); return before.Granted == 150 })
	measure("150 clients, all of whom have streams")
	crowd.ask(&after)
	t.Logf("of %d beats", after.Beats-before.Beats)
	admin.end()
	crowd.end()
}

// TestIncidentGRPC is what the test above is worth: grpc-go's own server leaves
// clients without a word, and the admin port of its process too.
func TestIncidentGRPC(t *testing.T) {
	if !long() {
		t.Skip("with WEIR_FAULTS=long only")
	}
	leak.FDs(t)
	o := replay(t, begin(t, "grpc", "LIMIT=256"), 30*time.Second, "500", func(*tally) bool { return true })
	if o.Silent == 0 || o.at.None == 0 {
		t.Error("everybody hears something, and its admin port answers: the incident is none")
	}
}
