package rpc

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/weir-go/weir/internal/await"
	"github.com/weir-go/weir/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func serve(t *testing.T, cfg Config) *Server {
	t.Helper()
	cfg.Config.Loops = 2
	s, err := Serve(cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		s.Close()
		require.Zero(t, s.Streams().Sessions)
		require.Zero(t, s.Streams().Streams)
		require.Zero(t, s.Streams().Held)
		require.Zero(t, s.Runtime().Stats().BudgetUsed)
	})
	return s
}

// call is a gRPC call by net/http's client, which speaks HTTP/2 and knows
// nothing of gRPC.
type call struct{ response *http.Response }

// begin calls a method with all requests there are and returns when the
// response has begun.
func begin(t *testing.T, s *Server, method string, requests ...[]byte) *call {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), await.Patience)
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	var body bytes.Buffer
	for _, m := range requests {
		body.Write(frame(m))
	}
	r, err := http.NewRequestWithContext(ctx, "POST", "http://"+s.Addr().String()+method, &body)
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("Te", "trailers")
	response, err := transport.RoundTrip(r)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	t.Cleanup(func() {
		response.Body.Close()
		cancel()
		transport.CloseIdleConnections()
	})
	return &call{response}
}

// frame is a message behind its prefix.
func frame(m []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(m))), m...)
}

func encode(t testing.TB, m proto.Message) []byte {
	t.Helper()
	p, err := proto.Marshal(m)
	require.NoError(t, err)
	return p
}

// next reads a message of the response, io.EOF at its end.
func (c *call) next() ([]byte, error) {
	var prefix [5]byte
	if _, err := io.ReadFull(c.response.Body, prefix[:]); err != nil {
		return nil, err
	}
	m := make([]byte, binary.BigEndian.Uint32(prefix[1:]))
	_, err := io.ReadFull(c.response.Body, m)
	return m, err
}

// status reads to the end and returns how the call has ended.
func (c *call) status(t testing.TB) (code, message string) {
	t.Helper()
	_, err := io.Copy(io.Discard, c.response.Body)
	require.NoError(t, err)
	from := c.response.Trailer
	if from.Get("Grpc-Status") == "" {
		from = c.response.Header // no message was sent: trailers only
	}
	return from.Get("Grpc-Status"), from.Get("Grpc-Message")
}

// rest returns the answers that are still to come.
func (c *call) rest(t testing.TB) (answers [][]byte) {
	t.Helper()
	for {
		m, err := c.next()
		if err == io.EOF {
			return answers
		}
		require.NoError(t, err)
		answers = append(answers, m)
	}
}
