package main

import (
	"io"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReplaced: SIGUSR2 has a new process serve at the same addresses, with any
// face. The two share their output, and the pipe of it ends with the second.
func TestReplaced(t *testing.T) {
	for _, face := range []string{"callback", "blocking", "std", "grpc"} {
		t.Run(face, func(t *testing.T) {
			args := []string{"-listen", anyPort, "-face", face}
			if face == "grpc" {
				args = []string{"-grpc", "localhost:0"}
			}
			p := start(t, append(args, "-admin", "localhost:0")...)
			admin := p.await(t, `http://\S+`)[0]
			address := p.address(t)
			p.await(t, `end +Ctrl-C`)
			require.Contains(t, get(t, admin+"/readyz"), `"serving"`)
			require.Contains(t, get(t, admin+"/metrics"), "\nweir_restart_generation 0\n")
			old := dial(t, "tcp", address)
			if face != "grpc" {
				say(t, old, "hello\n")
			}

			require.NoError(t, p.cmd.Process.Signal(syscall.SIGUSR2))
			text := p.await(t, `(?s)end +Ctrl-C.*end +Ctrl-C`)[0]
			pids := regexp.MustCompile(`kill -USR2 (\d+)`).FindAllStringSubmatch(p.String(), -1)
			require.Len(t, pids, 2)
			require.NotEqual(t, pids[0], pids[1])
			next, err := strconv.Atoi(pids[1][1])
			require.NoError(t, err)
			t.Cleanup(func() { syscall.Kill(next, syscall.SIGKILL) })
			require.Equal(t, 1, strings.Count(text, "echo on tcp://"+address), "the new one is where the old one was")
			require.Contains(t, get(t, admin+"/healthz"), `"serving"`)
			page := get(t, admin+"/metrics")
			require.Contains(t, page, "\nweir_restart_generation 1\n")
			require.Contains(t, page, "\nweir_health_state{state=\"serving\"} 1\n")
			if face == "grpc" {
				require.Equal(t, "\x00\x00\x00\x00\x00", unary(t, address, "\x00\x00\x00\x00\x00"))
			} else {
				say(t, dial(t, "tcp", address), "hello\n")
				_, err = io.ReadAll(old)
				require.NoError(t, err, "the old one ends its connections in order")
			}
			old.Close()
			p.await(t, `a successor serves`)
			p.await(t, `drained in`)
			require.NoError(t, syscall.Kill(next, syscall.SIGTERM))
			require.Equal(t, 0, p.code(), "%s", p)
			require.Len(t, regexp.MustCompile(`drained in`).FindAllString(p.String(), -1), 2)
		})
	}
}

// TestNotice: balancers see that the server ends before it does.
func TestNotice(t *testing.T) {
	p := start(t, "-listen", anyPort, "-admin", "localhost:0", "-notice", "1h")
	admin := p.await(t, `http://\S+`)[0]
	address := p.address(t)
	p.await(t, `end +Ctrl-C`)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	for !strings.Contains(get(t, admin+"/healthz"), `"draining"`) { // until it is killed, a minute on
	}
	say(t, dial(t, "tcp", address), "hello\n")
	require.NotContains(t, p.String(), "draining")
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, -1, p.code(), "a second signal ends it at once")
}
