// Package stream speaks gRPC over HTTP/2 on the loops of package conn.
//
//	bytes in   conn ─► Session: frames ─► Stream: messages ─► Handler.Message       (callbacks, on the loop)
//	                                             └──────────► queue ─► Stream.Recv  (a goroutine)
//	bytes out  Stream.Send ─► queue ─► Session: windows, turns ─► one write
//	           Topic ─────────┘
//
// A Server has methods, by their paths; Server.Serve makes a Session of each
// connection. Any gRPC client can call them. A Client calls the methods of any
// gRPC server, over a few connections that it makes and retires as needed; its
// streams are Streams, too. Messages are bytes here; what encodes and decodes
// them is somebody else's.
package stream
