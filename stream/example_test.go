package stream_test

import (
	"fmt"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/stream"
)

// clock answers every message with the number of those that came before it.
type clock struct{ n int }

func (c *clock) Message(st *stream.Stream, m []byte) error {
	c.n++
	return st.Emit(fmt.Appendf(nil, "%d", c.n-1))
}

// HalfClosed ends the stream when the client has no more to say.
func (c *clock) HalfClosed(st *stream.Stream) error {
	st.Finish(nil)
	return nil
}

func (c *clock) Closed(st *stream.Stream, err error) {}

// A server with a method of each kind. Messages are bytes: what a .proto says
// about them is for the methods to know.
func ExampleServer_Serve() {
	srv := stream.NewServer(stream.Config{})

	// On the loop, one request, one answer.
	srv.Handle("/demo.Demo/Echo", stream.Method{
		Unary: func(_ *stream.Stream, req []byte) ([]byte, error) { return req, nil },
	})
	// On the loop, as many messages as both sides like.
	srv.Handle("/demo.Demo/Count", stream.Method{
		Open: func(*stream.Stream) (stream.Handler, error) { return &clock{}, nil },
	})
	// On a goroutine, which may wait.
	srv.Handle("/demo.Demo/Talk", stream.Method{
		Go: func(st *stream.Stream) error {
			for {
				m, err := st.Recv()
				if err != nil {
					return nil // io.EOF, or the call has ended
				}
				b := stream.NewBuffer(len(m))
				copy(b.Bytes(), m)
				if err := st.SendWait(b); err != nil {
					return err
				}
			}
		},
	})

	rt, err := conn.Start(conn.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rt.Close()
	at, _ := conn.ParseAddr("127.0.0.1:0")
	if _, err := rt.Listen(at, srv.Serve); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(srv.Handle("/demo.Demo/Talk", stream.Method{}))
	srv.Close()
	fmt.Println(srv.Stats().Sessions)
	// Output:
	// stream: a method needs a path like /service/method and one way to serve it
	// 0
}

// A method that subscribes and then needs no goroutine: its stream lives on.
func ExampleStream_Detach() {
	var rt *conn.Runtime // of the server
	topic := stream.NewTopic(rt, stream.TopicConfig{Name: "ticks"})
	_ = stream.Method{Go: func(st *stream.Stream) error {
		if _, err := st.Recv(); err != nil { // what the client wants
			return err
		}
		if _, err := topic.Subscribe(st, stream.SubOptions{}); err != nil {
			return err
		}
		return st.Detach(nil)
	}}
}
