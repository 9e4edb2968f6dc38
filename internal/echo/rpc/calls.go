package rpc

import (
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/weir-go/weir/internal/echo/echopb"
	"github.com/weir-go/weir/stream"
)

// maxPush is how often one Push may send.
const maxPush = 1_000_000

// decode reads a request. One that is not what the method takes is the client's
// mistake, and ends its call only.
func decode(p []byte, m proto.Message) error {
	if err := proto.Unmarshal(p, m); err != nil {
		return stream.Statusf(stream.InvalidArgument, "echo: not a %s: %v", m.ProtoReflect().Descriptor().FullName(), err)
	}
	return nil
}

// unary is Echo.Unary. The answer is the request: nothing needs to be encoded.
func unary(_ *stream.Stream, req []byte) ([]byte, error) {
	return req, decode(req, &echopb.Message{})
}

// push is a stream of Echo.Push.
type push struct {
	message []byte // encoded
	left    uint32
	asked   bool
}

func openPush(*stream.Stream) (stream.Handler, error) { return &push{}, nil }

// Message is the request.
func (h *push) Message(st *stream.Stream, m []byte) (err error) {
	var req echopb.PushRequest
	if h.asked {
		return errTwo
	}
	if err := decode(m, &req); err != nil {
		return err
	}
	if req.Count > maxPush {
		return stream.Statusf(stream.InvalidArgument, "echo: count is %d, at most %d", req.Count, maxPush)
	}
	h.asked, h.left = true, req.Count
	if h.message, err = proto.Marshal(req.Message); err != nil {
		return err
	}
	return h.send(st)
}

// send goes on until the stream's queue is full; Drained calls it again.
func (h *push) send(st *stream.Stream) error {
	for ; h.left > 0; h.left-- {
		if err := st.Emit(h.message); err == stream.ErrFull {
			return nil
		} else if err != nil {
			return err
		}
	}
	st.Finish(nil)
	return nil
}

func (h *push) Drained(st *stream.Stream) {
	if err := h.send(st); err != nil {
		st.Finish(err)
	}
}

// HalfClosed follows the request at once.
func (h *push) HalfClosed(*stream.Stream) error {
	if !h.asked {
		return errNone
	}
	return nil
}

func (h *push) Closed(*stream.Stream, error) {}

// What a method that takes one request answers to another number of them.
var (
	errNone = &stream.Status{Code: stream.Internal, Message: "echo: there is no request"}
	errTwo  = &stream.Status{Code: stream.Internal, Message: "echo: there are several requests"}
)

// collect is a stream of Echo.Collect.
type collect struct{ sum echopb.Summary }

func openCollect(*stream.Stream) (stream.Handler, error) { return &collect{}, nil }

func (h *collect) Message(_ *stream.Stream, m []byte) error {
	var msg echopb.Message
	if err := decode(m, &msg); err != nil {
		return err
	}
	h.sum.Messages++
	h.sum.Bytes += uint64(len(msg.Text) + len(msg.Body))
	return nil
}

// HalfClosed answers.
func (h *collect) HalfClosed(st *stream.Stream) error {
	m, err := proto.Marshal(&h.sum)
	if err == nil {
		err = st.Emit(m)
	}
	st.Finish(err)
	return nil
}

func (h *collect) Closed(*stream.Stream, error) {}

// bidi is a stream of Echo.Bidi.
//
//	peer ──► Message ──► Emit ──► peer
//	              └─ what Emit refused waits in owed, and the peer's window is
//	                 withheld: owed has no more than fits into one window
type bidi struct {
	owed [][]byte
	last bool // the peer has finished
}

func openBidi(*stream.Stream) (stream.Handler, error) { return &bidi{}, nil }

func (h *bidi) Message(st *stream.Stream, m []byte) error {
	if err := decode(m, &echopb.Message{}); err != nil {
		return err
	}
	if len(h.owed) == 0 {
		if err := st.Emit(m); err != stream.ErrFull {
			return err
		}
		st.Pause()
	}
	h.owed = append(h.owed, slices.Clone(m)) // m is the session's
	return nil
}

// Drained is called when a peer that was slow has read most of what it is owed.
func (h *bidi) Drained(st *stream.Stream) {
	for len(h.owed) > 0 {
		if err := st.Emit(h.owed[0]); err == stream.ErrFull {
			return
		} else if err != nil {
			st.Finish(err)
			return
		}
		h.owed = h.owed[1:]
	}
	h.owed = nil
	st.Resume()
	if h.last {
		st.Finish(nil)
	}
}

// HalfClosed ends the stream once nothing is owed.
func (h *bidi) HalfClosed(st *stream.Stream) error {
	h.last = true
	if len(h.owed) == 0 {
		st.Finish(nil)
	}
	return nil
}

func (h *bidi) Closed(*stream.Stream, error) {}
