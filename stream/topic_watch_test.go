package stream_test

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"sync"

	"github.com/weir-go/weir/internal/h2"
	"github.com/weir-go/weir/stream"
)

// score is a sum that is published as it changes.
type score struct {
	mu  sync.Mutex
	sum int
	seq uint64
}

// add changes the state and publishes the change under one lock, so that a
// snapshot knows which changes it contains.
func (s *score) add(t *stream.Topic, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sum += n
	s.seq, _ = t.Publish(fmt.Appendf(nil, "+%d", n))
}

func (s *score) snapshot() ([]*stream.Message, uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []*stream.Message{stream.NewMessage(fmt.Appendf(nil, "total %d", s.sum))}, s.seq
}

// onlooker is the least of a client: one call, read frame by frame.
type onlooker struct {
	nc net.Conn
	r  *bufio.Reader
}

func watch(addr, path string) *onlooker {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	var block []byte
	for _, f := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", path}, {":authority", "example"},
		{"content-type", "application/grpc"}, {"te", "trailers"}} {
		block = h2.AppendField(block, f[0], f[1])
	}
	out := h2.AppendSettings([]byte(h2.Preface))
	out = h2.AppendHeaders(out, 1, block, false, h2.MinMaxFrame)
	out = h2.AppendData(out, 1, h2.AppendPrefix(nil, false, 0), true)
	nc.Write(out)
	return &onlooker{nc, bufio.NewReader(nc)}
}

// next returns the next message, or "the end".
func (o *onlooker) next() string {
	for {
		head := make([]byte, h2.HeaderLen)
		if _, err := io.ReadFull(o.r, head); err != nil {
			return err.Error()
		}
		h := h2.ParseHeader(head)
		p := make([]byte, h.Length)
		io.ReadFull(o.r, p)
		switch {
		case h.Type == h2.FrameData && len(p) > 0:
			return string(p[h2.PrefixLen:])
		case h.Type == h2.FrameHeaders && h.Flags&h2.FlagEndStream != 0:
			o.nc.Close()
			return "the end"
		}
	}
}
