package h2_test

import (
	"fmt"

	"github.com/weir-go/weir/internal/h2"
)

// call is an owner's stream: it embeds the protocol's.
type call struct {
	h2.Stream[*call]
	path string
}

// echo is a server without a socket that sends back what it gets.
type echo struct{ core h2.Core[*call] }

func (e *echo) Request(b *h2.Block, end bool) {
	st := &call{path: b.Path}
	st.Owner = st
	e.core.Accept(&st.Stream)
	e.core.SendHeaders(&st.Stream, h2.AppendIndexed(nil, h2.IndexStatus200), false)
}

func (e *echo) Data(st *h2.Stream[*call], p []byte, end bool) {
	e.core.Consume(st, len(p))
	e.core.ConsumeConn(len(p))
	fmt.Printf("%s got %q\n", st.Owner.path, p)
	e.core.SendData(st, p, end) // Quota allows it here
}

func (e *echo) Headers(*h2.Stream[*call], *h2.Block, bool)     {}
func (e *echo) Reset(*h2.Stream[*call], h2.Code, bool, string) {}
func (e *echo) Window(*h2.Stream[*call])                       {}
func (e *echo) Settings(*h2.PeerSettings)                      {}
func (e *echo) Ping([8]byte, bool)                             {}
func (e *echo) GoAway(last uint32, code h2.Code, debug []byte) {}

func ExampleCore() {
	// What a client would send.
	block := h2.AppendIndexed(nil, h2.IndexMethodPOST)
	block = h2.AppendIndexed(block, h2.IndexSchemeHTTP)
	block = h2.AppendField(block, ":path", "/echo")
	in := h2.AppendSettings([]byte(h2.Preface))
	in = h2.AppendHeaders(in, 1, block, false, h2.MinMaxFrame)
	in = h2.AppendData(in, 1, []byte("hello"), true)

	var e echo
	e.core.Start(h2.NewLimits(h2.Config{}), &e)
	n, err := e.core.Feed(1, in)
	fmt.Println(n == len(in), err)
	for out := e.core.Out; len(out) > 0; {
		h := h2.ParseHeader(out)
		fmt.Println("type", h.Type, "stream", h.Stream, "bytes", h.Length)
		out = out[h2.HeaderLen+h.Length:]
	}
	// Output:
	// /echo got "hello"
	// true <nil>
	// type 4 stream 0 bytes 18
	// type 8 stream 0 bytes 4
	// type 4 stream 0 bytes 0
	// type 1 stream 1 bytes 1
	// type 0 stream 1 bytes 5
}

func ExampleNextMessage() {
	p := append(h2.AppendPrefix(nil, false, 5), "first"...)
	p = append(h2.AppendPrefix(p, false, 6), "sec"...) // the rest comes later
	msg, _, n, _ := h2.NextMessage(p, 1<<20)
	fmt.Printf("%s\n", msg)

	var a h2.Assembler
	a.Add(p[n:], 1<<20)
	a.Add([]byte("ond"), 1<<20)
	msg, _ = a.Message()
	fmt.Printf("%s\n", msg)
	a.Reset()
	// Output:
	// first
	// second
}
