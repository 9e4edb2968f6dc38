package stream_test

import (
	"fmt"
	"log"
	"net/netip"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/stream"
)

// watcher is a subscriber's stream: it sends nothing itself.
type watcher struct{}

func (watcher) Message(*stream.Stream, []byte) error { return nil }
func (watcher) Closed(*stream.Stream, error)         {}

// A clock that any number of clients watch. Who is too slow for it gets the
// newest tick only, and is told what he has missed.
func ExampleTopic() {
	rt, err := conn.Start(conn.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close()

	ticks := stream.NewTopic(rt, stream.TopicConfig{
		Name:       "ticks",
		Gap:        func(dst []byte, from, to uint64) []byte { return fmt.Appendf(dst, "missed %d to %d", from, to) },
		SubOptions: stream.SubOptions{Policy: stream.Latest},
	})
	srv := stream.NewServer(stream.Config{})
	srv.Handle("/clock.Clock/Watch", stream.Method{Open: func(st *stream.Stream) (stream.Handler, error) {
		_, err := ticks.Subscribe(st, stream.SubOptions{From: 1}) // what the topic still has, too
		return watcher{}, err
	}})
	ln, err := rt.Listen(conn.TCP(netip.MustParseAddrPort("127.0.0.1:0")), srv.Serve)
	if err != nil {
		log.Fatal(err)
	}

	ticks.Publish([]byte("one"))
	ticks.Publish([]byte("two"))
	w := watch(ln.Addr().String(), "/clock.Clock/Watch")
	fmt.Println(w.next())
	fmt.Println(w.next())
	ticks.Publish([]byte("three"))
	fmt.Println(w.next())
	ticks.Close(nil)
	fmt.Println(w.next())
	// Output:
	// one
	// two
	// three
	// the end
}

// The state first, and then each change of it: nothing between the two is
// missed, or comes twice.
func ExampleTopic_Subscribe_snapshot() {
	rt, err := conn.Start(conn.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close()
	scores := stream.NewTopic(rt, stream.TopicConfig{})
	var game score
	game.add(scores, 2)
	game.add(scores, 3)

	srv := stream.NewServer(stream.Config{})
	srv.Handle("/game.Score/Watch", stream.Method{Open: func(st *stream.Stream) (stream.Handler, error) {
		_, err := scores.Subscribe(st, stream.SubOptions{Snapshot: game.snapshot})
		return watcher{}, err
	}})
	ln, err := rt.Listen(conn.TCP(netip.MustParseAddrPort("127.0.0.1:0")), srv.Serve)
	if err != nil {
		log.Fatal(err)
	}
	w := watch(ln.Addr().String(), "/game.Score/Watch")
	fmt.Println(w.next())
	game.add(scores, 1)
	fmt.Println(w.next())
	// Output:
	// total 5
	// +1
}
