// Package idemhttp answers a request that is sent twice as it answered it the
// first time, for net/http, by the header Idempotency-Key of the IETF's draft
// (draft-ietf-httpapi-idempotency-key-header).
//
//	request ─► key? ─ none ──► Next, or 400
//	             │
//	             ▼ idem.Client.Do
//	           ├ new ────────► Next ─► its response, and stored
//	           ├ done ───────► the stored response, Idempotency-Replayed: true
//	           ├ in progress ► 409, or it waits (Policy.Wait)
//	           ├ other body ─► 422
//	           └ no store ───► 503
//
// What the handler's status says about the effect: 429 and 503 that it surely
// did not happen, and the key is free again; every other 5xx that nobody knows,
// and Policy.Unknown decides at the next request; anything else is final, and
// stored. A handler may call Attempt.Mark and use Attempt.Fence (FromContext).
package idemhttp
