// Package h2 is the HTTP/2 protocol (RFC 9113) without a socket, a clock or a
// goroutine: bytes go in, events and bytes come out.
//
//	received ─► Core.Feed ──► Sink: Request, Headers, Data, Reset, Window ...
//	                │  RFC 9113's rules and this end's limits
//	                ▼
//	            Core.Out ◄── Core.Open, SendHeaders, SendData, Reset, Consume ...
//	                │
//	                ▼ to send
//
// Frames are parsed where they lie. The payload of DATA is shown as it arrives,
// also when its frame is split; of other frames Feed leaves an unfinished one
// with the caller, who shows it again when more has come. Output is appended to
// a buffer that the caller lends.
//
// # What a peer can do to us
//
// Everything it can make grow has a bound in Config, and a breach has the code
// and the scope that the RFC gives it. What is allowed one by one but costs us
// more than the peer (resets, empty frames, PINGs, SETTINGS) is paid from leaky
// buckets; an empty bucket is ENHANCE_YOUR_CALM for the connection. A stream
// counts against MaxStreams until it has ended and its handler has let go, so
// that resetting streams does not start more work than waiting for them.
//
// # gRPC
//
// NextMessage and Assembler cut gRPC's length-prefixed messages out of DATA:
// without a copy where a message lies in one piece.
package h2
