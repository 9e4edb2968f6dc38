package grpc

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/weir-go/weir/stream"
)

// call is one call: the grpc.ServerStream of its handler. As grpc-go's, one
// goroutine at a time may send and one receive.
type call struct {
	*method
	st     *stream.Stream
	codec  codec
	stats  *report     // nil: nobody is told
	inline []byte      // the request of an inline method
	got    bool        // the first message was received
	header atomic.Bool // SetHeader was called

	once sync.Once
	ctx  context.Context
}

func (m *method) call(st *stream.Stream) *call {
	return &call{method: m, st: st, codec: codecOf(st.ContentType())}
}

var (
	_ grpc.ServerStream          = (*call)(nil)
	_ grpc.ServerTransportStream = (*transport)(nil)
)

// Context has the call's metadata, peer and deadline; it ends with the call.
// What it has costs more than many a call, so it is made when asked for.
func (c *call) Context() context.Context {
	c.once.Do(func() {
		ctx := metadata.NewIncomingContext(c.st.Context(), incoming(c.st))
		ctx = peer.NewContext(ctx, peerOf(c.st))
		if c.stats != nil {
			ctx = c.stats.tag(ctx)
		}
		c.ctx = grpc.NewContextWithServerTransportStream(ctx, (*transport)(c))
	})
	return c.ctx
}

// RecvMsg waits for the next message and decodes it into m. An error that is not
// io.EOF ends the call with its status, whatever the handler returns.
func (c *call) RecvMsg(m any) error {
	err := c.recv(m)
	if err != nil && err != io.EOF {
		c.fail(err)
	}
	return err
}

// fail ends the call at once.
func (c *call) fail(err error) {
	c.headerFirst()
	c.st.Finish(statusOf(err))
}

// headerFirst lets a header that was set go out as one also if no message
// follows. Package stream would put it into the trailers; grpc-go does not.
func (c *call) headerFirst() {
	if c.header.Load() {
		c.st.SendHeader(nil) // or it has gone already
	}
}

func (c *call) recv(m any) error {
	p, err := c.next()
	switch {
	case err == io.EOF && !c.clientStreams && !c.got:
		return status.Error(codes.Internal, "cardinality violation: received no request message from non-client-streaming RPC")
	case err != nil:
		return err
	}
	if err := c.codec.decode(p, m); err != nil {
		return err
	}
	c.got = true
	if c.stats != nil {
		c.stats.received(m, len(p), c.st.Encoding() != "")
	}
	if c.clientStreams || c.inline != nil {
		return nil
	}
	// A single request: nothing may follow it.
	switch _, err = c.next(); err {
	case io.EOF:
		return nil
	case nil:
		return status.Error(codes.Internal, "cardinality violation: received multiple request messages for non-client-streaming RPC")
	}
	return err
}

// next returns the next message's bytes, valid until it is called again.
func (c *call) next() ([]byte, error) {
	if c.inline != nil {
		if c.got {
			return nil, io.EOF
		}
		return c.inline, nil
	}
	p, err := c.st.Recv()
	if err != nil && err != io.EOF {
		err = c.streamError(err)
	}
	return p, err
}

// SendMsg encodes m and sends it; it waits as long as the peer reads too slowly.
// An error ends the call with its status, whatever the handler returns. m may
// also be a *stream.Message of Encode's.
func (c *call) SendMsg(m any) error {
	b, err := c.codec.encode(m)
	if err == nil {
		n := len(b.Bytes())
		if err = c.st.SendWait(b); err != nil {
			err = c.streamError(err)
		} else if c.stats != nil {
			c.stats.sent(m, n, c.st.Encoding() != "")
		}
	}
	if err != nil {
		c.fail(err)
	}
	return err
}

// SetHeader adds to the header. ErrHeader of package stream when it is sent.
func (c *call) SetHeader(md metadata.MD) error {
	if md.Len() == 0 {
		return nil
	}
	err := c.metadataError(c.st.SetHeader(outgoing(md)))
	c.header.Store(true)
	if err == nil && c.stats != nil {
		c.stats.addHeader(md)
	}
	return err
}

// SendHeader adds to the header and sends it. ErrHeader of package stream when
// it is sent already.
func (c *call) SendHeader(md metadata.MD) error {
	err := c.metadataError(c.st.SendHeader(outgoing(md)))
	if err == nil && c.stats != nil {
		c.stats.addHeader(md)
		c.stats.headerOut()
	}
	return err
}

// SetTrailer adds to the trailers. Pairs that cannot be sent are lost.
func (c *call) SetTrailer(md metadata.MD) { c.setTrailer(md) }

func (c *call) setTrailer(md metadata.MD) error {
	if md.Len() == 0 {
		return nil
	}
	all := outgoing(md)
	err := c.st.SetTrailer(all)
	if errors.Is(err, stream.ErrMetadata) { // those that can be sent are
		for i := range all {
			c.st.SetTrailer(all[i : i+1 : i+1])
		}
	}
	err = c.metadataError(err)
	if err == nil && c.stats != nil {
		c.stats.addTrailer(md)
	}
	return err
}

// metadataError gives what cannot be sent grpc-go's code.
func (c *call) metadataError(err error) error {
	if errors.Is(err, stream.ErrMetadata) {
		return status.Error(codes.Internal, err.Error())
	}
	return err
}

// streamError is an error of package stream as a handler sees it: with
// grpc-go's codes.
func (c *call) streamError(err error) error {
	var s *stream.Status
	if errors.As(err, &s) && s.Code != stream.Canceled && s.Code != stream.DeadlineExceeded {
		return status.FromProto(protoOf(s)).Err()
	}
	if end := c.st.Context().Err(); end != nil {
		return status.FromContextError(end).Err()
	}
	return status.Error(codes.Internal, err.Error())
}

// transport is a call as grpc.SetHeader and its kin find it in the context.
type transport call

// Method returns "/package.Service/Method".
func (t *transport) Method() string { return t.st.Method() }

func (t *transport) SetHeader(md metadata.MD) error  { return (*call)(t).SetHeader(md) }
func (t *transport) SendHeader(md metadata.MD) error { return (*call)(t).SendHeader(md) }
func (t *transport) SetTrailer(md metadata.MD) error { return (*call)(t).setTrailer(md) }
