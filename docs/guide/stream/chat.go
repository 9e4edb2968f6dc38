//go:build ignore

// Chat is a room with a door on 127.0.0.1:9002: what anybody says, everybody
// hears. chat.proto describes it to its clients.
//
//	go run docs/guide/stream/chat.go
//	grpcurl -plaintext -proto docs/guide/stream/chat.proto -d @ 127.0.0.1:9002 chat.Chat/Talk
//
// What is typed to the latter are strings in quotes.
package main

import (
	"log"
	"net/netip"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/stream"
)

type guest struct{ room *stream.Topic }

func (g guest) Message(_ *stream.Stream, m []byte) error {
	_, err := g.room.Publish(m)
	return err // ends this stream, no other
}

func (guest) HalfClosed(st *stream.Stream) error { st.Finish(nil); return nil }
func (guest) Closed(*stream.Stream, error)       {}

func main() {
	rt, err := conn.Start(conn.Config{})
	if err != nil {
		log.Fatal(err)
	}
	room := stream.NewTopic(rt, stream.TopicConfig{})
	srv := stream.NewServer(stream.Config{})
	srv.Handle("/chat.Chat/Talk", stream.Method{Open: func(st *stream.Stream) (stream.Handler, error) {
		_, err := room.Subscribe(st, stream.SubOptions{})
		return guest{room}, err
	}})
	at := conn.TCP(netip.MustParseAddrPort("127.0.0.1:9002"))
	if _, err := rt.Listen(at, srv.Serve); err != nil {
		log.Fatal(err)
	}
	select {}
}
