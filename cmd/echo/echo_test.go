package main

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const anyPort = "tcp://127.0.0.1:0"

func TestServesOnEachFace(t *testing.T) {
	for _, face := range []string{"callback", "blocking", "std"} {
		t.Run(face, func(t *testing.T) {
			p := start(t, "-listen", anyPort, "-face", face)
			c := dial(t, "tcp", p.address(t))
			say(t, c, "hello\n")
			c.(*net.TCPConn).CloseWrite()
			rest, err := io.ReadAll(c)
			require.NoError(t, err)
			require.Empty(t, rest)
			p.stop(t)
			require.Contains(t, p.String(), "total: 1 connection, 6 B in, 6 B out")
		})
	}
}

func TestSaysHowToTalkToIt(t *testing.T) {
	p := start(t, "-listen", "tcp://localhost:0", "-loops", "1")
	host, port, err := net.SplitHostPort(p.address(t))
	require.NoError(t, err)
	p.await(t, `end +Ctrl-C`)
	require.Contains(t, p.String(), "nc "+host+" "+port)
	require.Contains(t, p.String(), "-drive "+host+":"+port)
	require.Contains(t, p.String(), "loops: 1")
	require.NoError(t, p.cmd.Process.Signal(os.Interrupt))
	require.Equal(t, 0, p.code())
}

func TestUnixSocket(t *testing.T) {
	path := t.TempDir() + "/echo"
	p := start(t, "-listen", "unix://"+path)
	require.Equal(t, path, p.address(t))
	say(t, dial(t, "unix", path), "hello\n")
	require.Contains(t, p.await(t, `.*nc -U.*`)[0], path)

	d := start(t, "-drive", "unix://"+path, "-for", "50ms")
	require.Equal(t, 0, d.code(), "%s", d)
	p.stop(t)
}

func TestAdmin(t *testing.T) {
	for _, face := range []string{"callback", "blocking", "std"} {
		t.Run(face, func(t *testing.T) {
			p := start(t, "-listen", anyPort, "-face", face, "-admin", "localhost:0")
			url := p.await(t, `http://\S+`)[0]
			say(t, dial(t, "tcp", p.address(t)), "hello\n")

			require.Contains(t, get(t, url+"/"), "/metrics")
			require.Contains(t, get(t, url+"/metrics"), "go_goroutines")
			require.Contains(t, get(t, url+"/debug/pprof/"), "goroutine")
			require.Contains(t, get(t, url+"/debug/pprof/goroutine?debug=1"), "goroutine profile")
			var stats struct {
				Face   string
				Listen string
				Open   int
				Totals struct{ Conns uint64 }
			}
			require.NoError(t, json.Unmarshal([]byte(get(t, url+"/stats")), &stats))
			require.Equal(t, face, stats.Face)
			require.Equal(t, "tcp://"+p.address(t), stats.Listen)
			require.Equal(t, 1, stats.Open, "the one connection, and not those of this page")
			if face != "std" {
				require.Regexp(t, `weir_connections\{runtime="echo"\} 1\n`, get(t, url+"/metrics"))
			}
			p.stop(t)
		})
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	client := http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	r, err := client.Get(url)
	require.NoError(t, err)
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, r.StatusCode, "%s", body)
	return string(body)
}

// stuck returns a connection that sends more than fits anywhere and doesn't
// read: the server can't finish with it.
func stuck(t *testing.T, address string) net.Conn {
	t.Helper()
	c := dial(t, "tcp", address)
	chunk := make([]byte, 64<<10)
	for {
		c.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		if _, err := c.Write(chunk); err != nil {
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			return c
		}
	}
}

func TestDrainWaitsForASlowPeer(t *testing.T) {
	for _, face := range []string{"callback", "blocking", "std"} {
		t.Run(face, func(t *testing.T) {
			p := start(t, "-listen", anyPort, "-face", face, "-drain", "1h")
			c := stuck(t, p.address(t))
			require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
			p.await(t, `draining 1 connection`)
			io.Copy(io.Discard, c) // now it reads
			require.Equal(t, 0, p.code(), "%s", p)
			require.Regexp(t, `drained in .*\ntotal: 1 connection, \d+\.\d MB in, \d+\.\d MB out`, p)
		})
	}
}

func TestDrainEndsWithItsTime(t *testing.T) {
	for _, face := range []string{"callback", "blocking", "std"} {
		t.Run(face, func(t *testing.T) {
			p := start(t, "-listen", anyPort, "-face", face, "-drain", "100ms")
			stuck(t, p.address(t))
			require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
			require.Equal(t, 1, p.code())
			require.Contains(t, p.String(), "cut off")
			require.Contains(t, p.String(), "total: 1 connection")
		})
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	p := start(t, "-listen", anyPort, "-drain", "1h")
	stuck(t, p.address(t))
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	p.await(t, `draining 1 connection`)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	p.code()
	var status syscall.WaitStatus = p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	require.Equal(t, syscall.SIGTERM, status.Signal())
}

// The service manager listens, and hands the socket over when it starts the
// server.
func TestSocketActivation(t *testing.T) {
	for _, face := range []string{"callback", "blocking", "std"} {
		t.Run(face, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer l.Close()
			f, err := l.(*net.TCPListener).File()
			require.NoError(t, err)
			defer f.Close()
			cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, binary, "-face", face)
			cmd.Env = append(os.Environ(), "LISTEN_FDS=1")
			cmd.ExtraFiles = []*os.File{f} // descriptor 3
			p := startCommand(t, cmd)
			require.Equal(t, l.Addr().String(), p.address(t))
			say(t, dial(t, "tcp", l.Addr().String()), "hello\n")
			p.stop(t)
		})
	}
}

func TestAddressIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	for _, face := range []string{"callback", "blocking", "std"} {
		p := start(t, "-listen", l.Addr().String(), "-face", face)
		require.Equal(t, 1, p.code())
		require.Contains(t, p.String(), "another process listens on "+l.Addr().String())
		require.Contains(t, p.String(), "-listen tcp://127.0.0.1:", "says what to do")
	}
	p := start(t, "-listen", anyPort, "-admin", l.Addr().String())
	require.Equal(t, 1, p.code())
	require.Contains(t, p.String(), "-admin tcp://127.0.0.1:")
	p = start(t, "-grpc", l.Addr().String())
	require.Equal(t, 1, p.code())
	require.Contains(t, p.String(), "-grpc tcp://127.0.0.1:")
}

func TestListenAdvice(t *testing.T) {
	for address, want := range map[string]string{
		"tcp://192.0.2.1:0":      "this machine has no address 192.0.2.1",
		"nonsense":               "they look like tcp:",
		"udp://127.0.0.1:1":      "udp",
		"unix:///no/such/place/": "no such file",
	} {
		p := start(t, "-listen", address)
		require.Equal(t, 1, p.code(), "%s", p)
		require.Contains(t, p.String(), want)
	}
}

func TestCommandLinesThatMakeNoSense(t *testing.T) {
	for line, want := range map[string]string{
		"-nonsense":                  "-nonsense",
		"serve":                      `"serve"`,
		"-face sideways":             "there are callback, blocking and std",
		"-face std -v":               "-face std doesn't have",
		"-loops -1":                  "-loops -1",
		"-conns 3":                   "-conns means nothing without -drive",
		"-drive x:1 -face std":       "-face means nothing with -drive",
		"-drive x:1 -idle 1s":        "-idle means nothing with -drive",
		"-drive x:1 -grpc x:2":       "-grpc means nothing with -drive",
		"-grpc x:1 -face std":        "-face means nothing with -grpc",
		"-grpc x:1 -listen x:2":      "-listen means nothing with -grpc",
		"-idle -1s":                  "-idle can't be negative",
		"-drive x:1 -conns 0":        "-conns 0",
		"-drive x:1 -size -1":        "-size -1",
		"-drive x:1 -pipeline -1":    "-pipeline -1",
		"-drive x:1 -rate -1":        "-rate",
		"-drive x:1 -for 0s":         "-for",
		"-drain soon":                "soon",
		"-drive x:1 -for 1s surplus": "surplus",
	} {
		var out, errs strings.Builder
		require.Equal(t, 2, run(strings.Fields(line), &out, &errs), line)
		require.Contains(t, errs.String(), want, line)
		require.Empty(t, out.String(), line)
	}
	var errs strings.Builder
	require.Equal(t, 0, run([]string{"-h"}, io.Discard, &errs))
	require.Contains(t, errs.String(), "-drive HOST:PORT")
}

func TestUsageNamesEveryFlag(t *testing.T) {
	for _, name := range append(append([]string{"loops", "drive"}, onlyDriving...), onlyServing...) {
		require.Contains(t, usage, "\n  -"+name+" ")
	}
}

func TestErrorsKeepTheirCause(t *testing.T) {
	at, err := resolve(t.Context(), "localhost:80")
	require.NoError(t, err)
	for _, cause := range []error{syscall.EADDRINUSE, syscall.EACCES, syscall.EADDRNOTAVAIL, io.EOF} {
		require.True(t, errors.Is(listenAdvice("listen", at, cause), cause))
	}
	for _, cause := range []error{syscall.ECONNREFUSED, syscall.EMFILE, io.EOF} {
		require.True(t, errors.Is(dialAdvice(at, cause), cause))
	}
}

func TestIdle(t *testing.T) {
	for _, face := range []string{"callback", "blocking", "std"} {
		t.Run(face, func(t *testing.T) {
			p := start(t, "-listen", anyPort, "-face", face, "-idle", "20ms")
			rest, err := io.ReadAll(dial(t, "tcp", p.address(t)))
			require.NoError(t, err, "the server ends what is silent")
			require.Empty(t, rest)
			p.stop(t)
		})
	}
}
