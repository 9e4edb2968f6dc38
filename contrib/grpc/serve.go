package grpc

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weir-go/weir/stream"
)

// errPanic is what Stats are told when a handler panicked; package stream tells
// the client, and Config.PanicReport.
var errPanic = status.Error(codes.Internal, "panic in the method")

// serve is a call on its goroutine.
func (m *method) serve(st *stream.Stream) error {
	c := m.call(st)
	err := c.reported(c.run)
	c.headerFirst()
	return statusOf(err)
}

// reported runs f between the two ends of what Stats see of a call.
func (c *call) reported(f func() error) error {
	if len(c.srv.cfg.Stats) == 0 {
		return appError(f())
	}
	err := errPanic
	c.stats = newReport(c)
	c.stats.begin(c.Context())
	defer func() { c.stats.end(err) }()
	err = appError(f())
	return err
}

// run calls the handler, and the interceptors around it.
func (c *call) run() error {
	if c.unary != nil {
		reply, err := c.unary(c.impl, c.Context(), c.RecvMsg, c.srv.unary)
		if err != nil {
			return err
		}
		return c.SendMsg(reply)
	}
	if c.srv.streaming == nil {
		return c.handler(c.impl, c)
	}
	info := &grpc.StreamServerInfo{
		FullMethod:     c.st.Method(),
		IsClientStream: c.clientStreams,
		IsServerStream: c.serverStreams,
	}
	return c.srv.streaming(c.impl, c, info, c.handler)
}

// serveInline is a call of a unary method on the loop.
func (m *method) serveInline(st *stream.Stream, req []byte) (answer []byte, err error) {
	c := m.call(st)
	if c.inline = req; req == nil {
		c.inline = []byte{}
	}
	err = c.reported(func() error {
		reply, err := c.unary(c.impl, c.Context(), c.RecvMsg, c.srv.unary)
		if err == nil {
			answer, err = c.codec.bytes(reply)
		}
		if err == nil && c.stats != nil {
			c.stats.sent(reply, len(answer), st.Encoding() != "")
		}
		return err
	})
	c.headerFirst()
	return answer, statusOf(err)
}
