//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package bounds_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/internal/await"
)

// When everybody has been refused, the kernel has descriptors left for what nobody
// asks for: logs that are opened anew, a name that is looked up; and the admin is
// still let in.
func TestReserveIsEnough(t *testing.T) {
	asked := answerNames(t)
	var was syscall.Rlimit
	ok(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was))
	small := was
	small.Cur = 128
	ok(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &small))
	t.Cleanup(func() { ok(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was)) })

	b, err := bounds.New(bounds.Config{})
	ok(t, err)
	t.Cleanup(func() { b.Close() })
	await.Until(t, "the kernel was asked", func() bool { return b.Stats().Untracked > 0 })
	fill(t, b)

	var logs []*os.File // all at once, which is half of the reserve
	defer func() {
		for _, log := range logs {
			log.Close()
		}
	}()
	for dir := t.TempDir(); len(logs) < 8; {
		log, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(len(logs))), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatalf("a log: %v", err)
		}
		logs = append(logs, log)
	}
	var e *net.DNSError
	names := net.Resolver{PreferGo: true, Dial: asked.dial}
	if _, err := names.LookupHost(t.Context(), "weir.test"); !errors.As(err, &e) || !e.IsNotFound || asked.n.Load() == 0 {
		t.Errorf("a name, %d questions: %v", asked.n.Load(), err)
	}
	if err := b.Take(bounds.Admin); err != nil {
		t.Errorf("the admin: %v", err)
	}
	b.Give(bounds.Admin)
}

// fill takes and opens until all but the admin are refused.
func fill(t *testing.T, b *bounds.Bounds) {
	n := 0
	for _, c := range []bounds.Class{bounds.Server, bounds.Stream, bounds.Client, bounds.Other, bounds.Farewell} {
		for b.Take(c) == nil {
			f, err := os.Open(os.DevNull)
			if err != nil {
				t.Fatalf("after %d, one that was let in: %v", n, err)
			}
			n++
			t.Cleanup(func() {
				f.Close()
				b.Give(c)
			})
		}
	}
	if n < 80 {
		t.Errorf("no more than %d of 128 are let in", n)
	}
}

// names is a server of names that knows none.
type names struct {
	at net.Addr
	n  atomic.Int64 // questions
}

func (s *names) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "udp", s.at.String())
}

func answerNames(t *testing.T) *names {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	ok(t, err)
	s := &names{at: pc.LocalAddr()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for p := make([]byte, 1500); ; {
			n, from, err := pc.ReadFrom(p)
			if err != nil {
				return
			}
			s.n.Add(1)
			p[2], p[3] = p[2]|0x80, 0x83 // an answer: there is no such name
			pc.WriteTo(p[:n], from)
		}
	}()
	t.Cleanup(func() {
		pc.Close()
		<-done
	})
	return s
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
