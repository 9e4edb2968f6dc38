package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"net/netip"
	"time"

	"github.com/weir-go/weir/bench/internal/h2c"
	"github.com/weir-go/weir/bench/internal/line"
	"github.com/weir-go/weir/bench/internal/news"
	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/stream"
)

// Paths of the service that all servers serve.
const (
	bidiPath      = "/grpc.testing.BenchmarkService/StreamingCall"
	unaryPath     = "/grpc.testing.BenchmarkService/UnaryCall"
	subscribePath = "/grpc.testing.BenchmarkService/StreamingFromServer"
)

// serveStreams is the server process of package stream: it echoes messages as they are, and has one topic.
func serveStreams(args []string, in io.Reader, out io.Writer) error {
	f := flag.NewFlagSet("bench streams", flag.ContinueOnError)
	size := f.Int("size", 64, "bytes of a published body")
	if err := f.Parse(args); err != nil {
		return err
	}
	rt, err := conn.Start(conn.Config{Loops: 1})
	if err != nil {
		return err
	}
	defer rt.Close()
	topic := stream.NewTopic(rt, stream.TopicConfig{Name: "news"})
	srv := stream.NewServer(stream.Config{MaxStreams: 1 << 20})
	err = errors.Join(serveEcho(srv),
		srv.Handle(subscribePath, stream.Method{Open: func(*stream.Stream) (stream.Handler, error) { return reader{topic}, nil }}))
	if err != nil {
		return err
	}
	listener, err := rt.Listen(conn.TCP(netip.MustParseAddrPort("127.0.0.1:0")), srv.Serve)
	if err != nil {
		return err
	}
	press := news.Press{Size: *size, Subscribers: topic.Len, Publish: publisher(topic)}
	defer press.Hush()
	return line.Serve(in, out, listener.Addr().IP.String(), press.Answer)
}

// publisher encodes a body once for all, and waits for those that hold the topic.
func publisher(t *stream.Topic) func(context.Context, []byte) error {
	var buf []byte
	return func(ctx context.Context, body []byte) error {
		buf = append(news.AppendHead(buf[:0], news.Response, len(body)), body...)
		m := stream.NewMessage(buf)
		defer m.Release()
		_, err := t.PublishWait(ctx, m, "")
		return err
	}
}

// mirror sends back what it is sent.
type mirror struct{}

func (mirror) Message(st *stream.Stream, m []byte) error { return st.Emit(m) }
func (mirror) Closed(*stream.Stream, error)              {}

// reader subscribes to the topic, as its first message wants: to everything, or to what it can take.
type reader struct{ topic *stream.Topic }

func (r reader) Message(st *stream.Stream, m []byte) error {
	body, err := news.Body(m, news.Request)
	if err != nil {
		return err
	}
	o := stream.SubOptions{}
	if len(body) == 1 && body[0] == h2c.All {
		o = stream.SubOptions{Policy: stream.Hold, Wait: 10 * time.Second}
	}
	_, err = r.topic.Subscribe(st, o)
	return err
}

func (reader) HalfClosed(*stream.Stream) error { return nil } // it listens on
func (reader) Closed(*stream.Stream, error)    {}
