package grpc

import (
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weir-go/weir/stream"
)

// SendMsg sends m, or leaves it for the twin: then it waits as long as too many
// messages do. io.EOF says that the call has ended: RecvMsg says how. A method
// that takes one message gets nil then.
func (x *twinned) SendMsg(m any) error {
	b, err := x.codec.bytes(m)
	if err != nil {
		return x.finish(err)
	}
	msg := stream.NewMessage(b)
	defer msg.Release()
	live, kept, err := x.take(msg)
	if err == io.EOF && !x.desc.ClientStreams {
		return nil // as clientStream's
	}
	if live == nil || err != nil {
		return err
	}
	switch err = live.SendMsg(msg); {
	case err == nil:
	case err != io.EOF:
		return x.finish(err)
	case x.gone(live, x.ended(live)) || kept:
		err = nil // it goes to the twin, or RecvMsg says why not
	}
	return err
}

// take finds out where a message goes: to a stream, with a copy kept or not, or to
// the twin.
func (x *twinned) take(msg *stream.Message) (live *clientStream, kept bool, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for {
		room := len(x.kept) == 0 || len(x.kept) < x.set.Queue && x.bytes+msg.Len() <= twinBytes
		switch {
		case x.over:
			return nil, false, io.EOF
		case x.closed:
			return x.live, false, status.Error(codes.Internal, "SendMsg called after CloseSend")
		case x.live != nil && !x.sure && (x.live.st.HasHeader() || !room && !x.away):
			x.settle()
		}
		// A stream that has been away has still to show that it is back: until then
		// it gets no more than the twin could take over.
		if x.live != nil && (x.sure || room) {
			if kept = !x.sure; kept {
				x.keep(msg)
			}
			return x.live, kept, nil
		}
		if x.live == nil && room && !x.moving {
			x.keep(msg)
			x.news()
			return nil, true, nil
		}
		told := x.told
		x.mu.Unlock()
		err = x.wait(time.Now().Add(x.set.Most), told)
		x.mu.Lock()
		if err != nil {
			return nil, false, io.EOF // RecvMsg says why
		}
	}
}

func (x *twinned) keep(msg *stream.Message) {
	msg.Retain()
	x.kept = append(x.kept, msg)
	x.bytes += msg.Len()
}

// drop lets go of the first n messages that are kept. mu is held.
func (x *twinned) drop(n int) {
	for _, msg := range x.kept[:n] {
		x.bytes -= msg.Len()
		msg.Release()
	}
	x.kept = append(x.kept[:0], x.kept[n:]...)
}

// settle keeps no more for this stream: it has answered, or too much was sent. A
// server-streaming method's request stays. mu is held.
func (x *twinned) settle() {
	x.sure = true
	if x.desc.ClientStreams {
		x.drop(len(x.kept))
	}
}

// CloseSend says that no message follows.
func (x *twinned) CloseSend() error {
	x.mu.Lock()
	x.closed = true
	live := x.live
	x.news()
	x.mu.Unlock()
	if live != nil {
		return live.CloseSend()
	}
	return nil
}
