// Package idemgrpc answers a unary call that is made twice as it answered it the
// first time, by the metadata idempotency-key. It is the gRPC side of
// idem/idemhttp, an interceptor for this module's server and for grpc-go's:
//
//	once := &idemgrpc.Interceptor{Client: client, Operation: "orders",
//		Policy: idem.Policy{Unknown: idem.Redo()}}
//	srv := grpc.NewServer(grpc.Config{UnaryInterceptors: []stock.UnaryServerInterceptor{once.Unary}})
//
//	call ─► key? ─ none ──► handler, or INVALID_ARGUMENT
//	          │
//	          ▼ idem.Client.Do
//	        ├ new ──────────► handler ─► its answer, and stored
//	        ├ done ─────────► the stored answer, idempotency-replayed: true
//	        ├ in progress ──► ABORTED, or it waits (Policy.Wait)
//	        ├ other request ► FAILED_PRECONDITION
//	        └ no store ─────► UNAVAILABLE
//
// # What a handler's status says about the effect
//
// The codes are google.rpc.Code's. UNAVAILABLE, RESOURCE_EXHAUSTED, ABORTED,
// UNAUTHENTICATED and PERMISSION_DENIED say that it surely did not happen and may
// be tried again under the same key: the first three because their definition
// tells the client to try again, the last two because they are about the caller
// and not about the request. CANCELLED, DEADLINE_EXCEEDED, UNKNOWN, INTERNAL and
// DATA_LOSS, an error without a status and a panic say that nobody knows, and
// Policy.Unknown decides at the next call. OK and everything else is final: it is
// stored and replayed.
//
// # What a client is told
//
// The draft of the header (draft-ietf-httpapi-idempotency-key-header) names HTTP
// codes; these are the ones that google.rpc.Code maps to them, or nearest. 409 in
// progress is ABORTED: try again a level higher, with RetryInfo. 422 is
// FAILED_PRECONDITION and not INVALID_ARGUMENT, because the same request under
// another key would do. 500, an effect that nobody knows of, is INTERNAL: a code
// that says "not done" would be wrong. Each comes with an ErrorInfo of the domain
// "idem" whose reason tells them apart without reading texts (Reason constants).
package idemgrpc
