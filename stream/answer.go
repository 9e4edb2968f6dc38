package stream

import (
	"encoding/base64"
	"strconv"

	"github.com/weir-go/weir/internal/h2"
)

// sendHeader sends the response's header, once.
func (st *Stream) sendHeader() {
	if st.flags&headerSent != 0 {
		return
	}
	st.flags |= headerSent
	st.marks.Or(markHeader)
	s := st.sess
	block := st.req.header
	if st.resp != nil || st.req.codec != nil {
		block = st.headerBlock(append(s.lane.block[:0], block...))
		s.lane.block = block[:0]
	}
	s.core.SendHeaders(&st.h, block, false)
	s.care.spoke = true
}

// headerBlock appends what this response's header has besides the usual.
func (st *Stream) headerBlock(block []byte) []byte {
	if c := st.compressor(); c != nil {
		block = h2.AppendField(block, "grpc-encoding", c.Name())
	}
	if st.resp != nil {
		block = appendMetadata(block, st.resp.header)
	}
	return block
}

// compressor returns what messages are compressed with, nil for nothing.
func (st *Stream) compressor() Compressor {
	if o := st.out(); o != nil {
		return o.compressor
	}
	return st.req.codec
}

// direct reports whether a message may be framed without storage of its own:
// none has to be kept to be sent again, and nothing is compressed.
func (st *Stream) direct() bool {
	if o := st.out(); o != nil {
		return o.sure && o.compressor == nil
	}
	return st.req.codec == nil
}

// trailersOK is the block of trailers without metadata.
var trailersOK = h2.AppendField(nil, "grpc-status", "0")

// conclude ends our side of the stream; the queue is empty.
func (st *Stream) conclude() {
	s := st.sess
	status := st.final
	if st.flags&plainEnd != 0 {
		s.core.SendData(&st.h, nil, true)
	} else {
		s.core.SendHeaders(&st.h, st.trailers(status), true)
	}
	s.care.spoke = true
	if st.h.State() != h2.Closed {
		// The peer may still be sending: it is told that nobody listens,
		// RFC 9113, section 8.1.
		s.core.Reset(&st.h, h2.NoError)
	}
	st.ended(status)
}

// trailers returns the last header block: with the header in it when none was
// sent.
func (st *Stream) trailers(status *Status) []byte {
	if status == statusOK && st.flags&headerSent != 0 && st.resp == nil {
		return trailersOK
	}
	var a response
	if st.resp != nil {
		a = *st.resp
	}
	block := st.sess.lane.block[:0]
	if st.flags&headerSent == 0 {
		block = append(block, st.req.header...)
		block = appendMetadata(block, a.header)
		if st.req.encoding != "" && st.req.codec == nil {
			block = h2.AppendField(block, "grpc-accept-encoding", st.sess.own.accepts)
		}
	}
	block = h2.AppendField(block, "grpc-status", strconv.FormatUint(uint64(status.Code), 10))
	if status.Message != "" {
		block = h2.AppendField(block, "grpc-message", encodeMessage(status.Message))
	}
	if status.Details != nil {
		block = h2.AppendField(block, "grpc-status-details-bin", base64.RawStdEncoding.EncodeToString(status.Details))
	}
	block = appendMetadata(block, a.trailer)
	st.sess.lane.block = block[:0]
	return block
}
