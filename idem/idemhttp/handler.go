package idemhttp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"

	"github.com/weir-go/weir/idem"
)

// Handler runs Next once for each key. Client, Operation, Policy and Next must
// be set; nothing may be changed once it serves.
type Handler struct {
	Client    *idem.Client
	Operation string // as in idem.Key
	Policy    idem.Policy
	Next      http.Handler

	// Space tells clients apart who must not see each other's responses: the
	// account that a request was authenticated for. It has to be a plain word,
	// as in idem.Key. nil: all share one space.
	Space func(*http.Request) string

	Methods  []string // that keys mean something for; the others go to Next. nil: POST and PATCH
	Required bool     // a request without a key is refused with 400. false: it goes to Next

	// MaxBody is how many bytes of a request are read, before 413; MaxResponse
	// how many of a response are kept. A longer one is sent as it comes, and
	// those who ask again learn only that it was done. 0: 512 KiB and 32 KiB.
	// Client.MaxRequest and MaxResult have to leave room for them.
	MaxBody     int64
	MaxResponse int
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	methods := h.Methods
	if methods == nil {
		methods = []string{http.MethodPost, http.MethodPatch}
	}
	lines := r.Header.Values("Idempotency-Key")
	switch {
	case !slices.Contains(methods, r.Method), len(lines) == 0 && !h.Required:
		h.Next.ServeHTTP(w, r)
		return
	case len(lines) == 0:
		problem(w, http.StatusBadRequest, "Idempotency-Key is missing")
		return
	}
	id, valid := parseKey(lines)
	if !valid {
		problem(w, http.StatusBadRequest, "Idempotency-Key is malformed")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, positive(h.MaxBody, 512<<10)))
	if err != nil {
		var long *http.MaxBytesError
		if errors.As(err, &long) {
			problem(w, http.StatusRequestEntityTooLarge, "the request is too large")
		} else {
			problem(w, http.StatusBadRequest, "the request could not be read")
		}
		return
	}
	h.once(w, r, id, body)
}

// once is a request with a key.
func (h *Handler) once(w http.ResponseWriter, r *http.Request, id string, body []byte) {
	key := idem.Key{Operation: h.Operation, ID: id}
	if h.Space != nil {
		key.Space = h.Space(r)
	}
	// A line end separates: it is in no method, host or URI.
	request := append([]byte(r.Method+"\n"+r.Host+"\n"+r.URL.RequestURI()+"\n"+r.Header.Get("Content-Type")+"\n"), body...)
	rec := &recorder{to: w, limit: int(positive(int64(h.MaxResponse), 32<<10)), header: make(http.Header)}
	reply, err := h.Client.Do(r.Context(), key, request, h.Policy, func(ctx context.Context, a *idem.Attempt) ([]byte, error) {
		r := r.WithContext(context.WithValue(ctx, attemptKey{}, a))
		r.Body = io.NopCloser(bytes.NewReader(body))
		h.Next.ServeHTTP(rec, r)
		rec.end()
		return rec.result()
	})
	switch {
	case rec.ran(): // whatever became of its record, this is the answer to this request
		rec.send()
	case err == nil:
		replay(w, reply.Result)
	default:
		refuse(w, err)
	}
}

type attemptKey struct{}

// FromContext returns the attempt that a handler runs in, nil when it runs
// without a key.
func FromContext(ctx context.Context) *idem.Attempt {
	a, _ := ctx.Value(attemptKey{}).(*idem.Attempt)
	return a
}

// refuse answers for what is in the way.
func refuse(w http.ResponseWriter, err error) {
	status, why := http.StatusInternalServerError, "the request could not be handled"
	switch {
	case errors.Is(err, idem.ErrBusy):
		w.Header().Set("Retry-After", "1")
		status, why = http.StatusConflict, "a request with this Idempotency-Key is in progress"
	case errors.Is(err, idem.ErrMismatch):
		status, why = http.StatusUnprocessableEntity, "this Idempotency-Key was used for another request"
	case errors.Is(err, idem.ErrKey):
		status, why = http.StatusBadRequest, "Idempotency-Key cannot be used"
	case errors.Is(err, idem.ErrTooLarge):
		status, why = http.StatusRequestEntityTooLarge, "the request is too large"
	case errors.Is(err, idem.ErrNotKept):
		status, why = http.StatusConflict, "it was done, and the response was not kept"
	case errors.Is(err, idem.ErrUnavailable):
		w.Header().Set("Retry-After", "1")
		status, why = http.StatusServiceUnavailable, "nothing was done: what was done before cannot be looked up"
	case errors.Is(err, idem.ErrUnknown), errors.Is(err, idem.ErrStuck):
		why = "it is not known whether it was done, and somebody has to look"
	}
	problem(w, status, why)
}

// problem answers as RFC 9457 says.
func problem(w http.ResponseWriter, status int, why string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"title": http.StatusText(status), "status": status, "detail": why})
}

func positive(n, unset int64) int64 {
	if n > 0 {
		return n
	}
	return unset
}
