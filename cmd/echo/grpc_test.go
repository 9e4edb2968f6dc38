package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// unary calls Echo/Unary by net/http's client and returns the answer, with its
// prefix. What gRPC's own clients and tools make of the server, contrib/judges
// tries.
func unary(t *testing.T, address, message string) string {
	t.Helper()
	r, err := http.NewRequest("POST", "http://"+address+"/weir.echo.v1.Echo/Unary", strings.NewReader(message))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("Te", "trailers")
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, Timeout: patience}
	response, err := client.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, "0", response.Trailer.Get("Grpc-Status"))
	return string(body)
}

func TestServesGRPC(t *testing.T) {
	const hello = "\x00\x00\x00\x00\x07\n\x05hello"
	p := start(t, "-grpc", "localhost:0", "-admin", "localhost:0")
	admin := p.await(t, `http://\S+`)[0]
	address := p.address(t)
	require.Equal(t, hello, unary(t, address, hello))
	p.await(t, `end +Ctrl-C`)
	require.Contains(t, p.String(), "(grpc face")
	require.Contains(t, p.String(), "grpcurl -plaintext "+address+" weir.echo.v1.Clock/Subscribe")

	var stats struct {
		Face    string
		Streams struct{ Opened, Received, Sent uint64 }
		Clock   struct{ Name string }
	}
	require.NoError(t, json.Unmarshal([]byte(get(t, admin+"/stats")), &stats))
	require.Equal(t, "grpc", stats.Face)
	require.Equal(t, "clock", stats.Clock.Name)
	require.Equal(t, [3]uint64{1, 1, 1}, [3]uint64{stats.Streams.Opened, stats.Streams.Received, stats.Streams.Sent})
	p.stop(t)
	require.Contains(t, p.String(), "total: 1 connection")
}

func TestServesGRPCOnAUnixSocket(t *testing.T) {
	path := t.TempDir() + "/echo"
	p := start(t, "-grpc", "unix://"+path, "-idle", "20ms")
	require.Equal(t, path, p.address(t))
	p.await(t, `end +Ctrl-C`)
	require.Contains(t, p.String(), "-unix "+path)

	c := dial(t, "unix", path)
	_, err := io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	require.NoError(t, err)
	heard, err := io.ReadAll(c)
	require.NoError(t, err, "the server ends a session that is silent")
	require.Contains(t, string(heard), "\x07\x00\x00\x00\x00\x00", "and says GOAWAY")
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, 0, p.code())
}
