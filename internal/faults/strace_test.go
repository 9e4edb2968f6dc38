//go:build linux && !race

package faults

// Not under the race detector: the runtime there reads and writes with system
// calls that are also used to wake loops, which do not fail.

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/weir-go/weir/internal/await"
	"github.com/weir-go/weir/internal/leak"
)

// hurts are system calls of a server that fail now and then, as strace has it:
// thread by thread the Nth call and every Mth behind it is not made. What closes is
// not among them: without the call the descriptor would stay.
var hurts = []string{
	"epoll_ctl:error=ENOMEM:when=25+23",
	"epoll_pwait:error=EINTR:when=5+7",
	"recvfrom:error=ECONNRESET:when=50+41",
	"sendto,sendmsg:error=ENOBUFS:when=50+37",
	"setsockopt,getsockname:error=ENOMEM:when=50+9",
	"shutdown:error=ENOTCONN:when=3+3",
	"openat:error=ENFILE:when=200+3",
}

// TestTracedServer: a real process whose system calls fail, every kind that a
// connection's life is made of. Nobody is stuck: clients that are hurt come again
// and are served, the admin port answers, and at its end the server finds that
// nothing is left.
func TestTracedServer(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed (Debian: apt-get install strace)")
	}
	if out, err := exec.Command(strace, "-o", os.DevNull, "-e", "inject=accept4:error=EMFILE:when=1+1", "true").CombinedOutput(); err != nil {
		t.Skipf("strace is not allowed to, or cannot: %s", out)
	}
	leak.FDs(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-f", "-qq", "-o", os.DevNull, "--seccomp-bpf", "-e", "trace=accept4,epoll_ctl,epoll_pwait,recvfrom,sendto,sendmsg,setsockopt,getsockname,shutdown,openat"}
	all := hurts
	if long() { // the bounds let nobody in for a while then
		all = append(all, "accept4:error=EMFILE:when=12..13")
		t.Setenv("WEIR_FAULTS", "") // not for as long as they do by themselves
	}
	for _, h := range all {
		args = append(args, "-e", "inject="+h)
	}
	p := launch(t, exec.Command(strace, append(args, self)...), "bounded", 1024)
	at := new(tally)
	leave := crowd(30, p.addr, at)
	await.Until(t, "clients are hurt, and served all the same", func() bool {
		return at.granted.Load() > 30 && at.silent.Load()+at.lost.Load() > 10 && at.beats.Load() > 500
	})
	var client = http.Client{Timeout: answers, Transport: &http.Transport{DisableKeepAlives: true}}
	var page []byte
	await.Until(t, "the admin port answers", func() bool {
		r, err := client.Get("http://" + p.admin + "/")
		if err != nil {
			return false
		}
		defer r.Body.Close()
		page, err = io.ReadAll(r.Body)
		return err == nil
	})
	leave()
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, "weir_accepts_refused_total{reason=\"desc") || strings.HasPrefix(line, "weir_bounds_entered_total{resource=\"desc") {
			t.Log(strings.TrimSpace(line))
		}
	}
	t.Logf("%s", at)
	began := time.Now()
	var back tally
	leave = crowd(10, p.addr, &back)
	await.Until(t, "streams come back", func() bool { return back.granted.Load() >= 10 })
	leave()
	t.Logf("streams are back after %v", time.Since(began))
}
