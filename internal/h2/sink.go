package h2

// Sink is told what came in. Its methods are called inside Feed and may call
// the Core's, but not Feed.
type Sink[O any] interface {
	// Request is a new stream, on the server, with a well-formed header block.
	// The owner calls Accept before Request returns; otherwise the peer is told
	// REFUSED_STREAM. b and its Fields are valid until Request returns, the
	// strings for ever. end: nothing follows.
	Request(b *Block, end bool)

	// Headers is, on the client, the response's header block or, with end, its
	// trailers, which may be all there is; on the server the request's
	// trailers, always with end. Informational responses (1xx) are not shown.
	Headers(st *Stream[O], b *Block, end bool)

	// Data is a piece of a DATA frame's payload, where it lies in the bytes
	// that Feed was given: valid until Data returns. It may be empty if end.
	// The owner owes Consume for the stream and ConsumeConn for the connection
	// once it has room for as much again.
	Data(st *Stream[O], p []byte, end bool)

	// Reset says that the stream has ended early: by the peer's RST_STREAM
	// (remote), or by ours for an error of the peer's, which why describes.
	Reset(st *Stream[O], code Code, remote bool, why string)

	// Window says that st may send more, with nil that any stream may.
	Window(st *Stream[O])

	// Settings says that the peer's settings have changed to s. Before it
	// returns those in force are still in Core.Peer.
	Settings(s *PeerSettings)

	// Ping is a PING; ack: the answer to one of ours. Others are answered
	// by the Core, before Ping is called.
	Ping(data [8]byte, ack bool)

	// GoAway says that the peer takes no new streams; what we sent on streams
	// above last was not looked at. debug is valid until GoAway returns.
	GoAway(last uint32, code Code, debug []byte)
}
