package stream_test

import (
	"context"
	"fmt"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/stream"
)

// listener prints what a server sends.
type listener struct {
	over chan error
}

func (l *listener) Message(st *stream.Stream, m []byte) error {
	fmt.Printf("%s\n", m)
	return nil
}

func (l *listener) Closed(st *stream.Stream, err error) { l.over <- err }

// Two ways to call: a goroutine that waits, and callbacks that do not.
func ExampleClient() {
	rt, err := conn.Start(conn.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rt.Close()
	srv := stream.NewServer(stream.Config{})
	defer srv.Close()
	srv.Handle("/demo.Demo/Greet", stream.Method{
		Unary: func(_ *stream.Stream, req []byte) ([]byte, error) { return append([]byte("hello "), req...), nil },
	})
	srv.Handle("/demo.Demo/Count", stream.Method{
		Open: func(*stream.Stream) (stream.Handler, error) { return &clock{}, nil },
	})
	at, _ := conn.ParseAddr("127.0.0.1:0")
	ln, err := rt.Listen(at, srv.Serve)
	if err != nil {
		fmt.Println(err)
		return
	}

	cli := stream.NewClient(rt, stream.ClientConfig{Targets: []conn.Addr{ln.Addr()}})
	defer cli.Close()

	// A goroutine's call.
	st, err := cli.Call(context.Background(), "/demo.Demo/Greet", stream.CallOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	b := stream.NewBuffer(0)
	b.Append([]byte("world"))
	st.SendWait(b)
	st.CloseSend()
	answer, err := st.Recv()
	fmt.Printf("%s, %v\n", answer, err)
	_, err = st.Recv()
	fmt.Println(err)

	// One with callbacks: no goroutine waits for its answers.
	l := &listener{over: make(chan error, 1)}
	st, err = cli.Start("/demo.Demo/Count", stream.CallOptions{}, l)
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 3 {
		st.Send([]byte("tick"))
	}
	st.CloseSend()
	fmt.Println(<-l.over)
	// Output:
	// hello world, <nil>
	// EOF
	// 0
	// 1
	// 2
	// <nil>
}
