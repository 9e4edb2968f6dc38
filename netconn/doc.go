// Package netconn gives the connections of a conn.Runtime the face that the Go
// ecosystem knows: net.Conn, net.Listener and a Dialer. net/http, crypto/tls,
// grpc-go and go-redis run on it unchanged.
//
//	http.Server   crypto/tls   grpc-go   go-redis
//	     └────────────┴─────┬─────┴─────────┘
//	        net.Listener · net.Conn · DialContext
//	                        │
//	   Listener ── Accept ──┤
//	      ▲                 ▼
//	      │ Offer          Conn ────► read(2), write(2) on the caller's goroutine
//	      │                 │ waits only after EAGAIN
//	   conn.Serve      conn.Blocking
//	      ▲                 ▲
//	      └── loop ─────────┘ readiness and deadlines, nothing else
//
// The loop never touches a byte of such a connection: it tells the goroutine
// that waits that it may try again. A Conn is two words; addresses, buffers and
// errors are made when somebody asks for them.
//
// What the bytes are can be found out before a goroutine exists: accept on the
// callback face, look at the first bytes there, and hand the connection over
// with Listener.Offer (to an http.Server, say) or FromBlocking. What was read
// and not consumed goes along. Conn.Callback goes the other way.
//
// Errors look as those of package net do: *net.OpError around net.ErrClosed,
// os.ErrDeadlineExceeded or an os.SyscallError, and io.EOF bare.
package netconn
