package idemhttp_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/weir-go/weir/idem"
	"github.com/weir-go/weir/idem/idemhttp"
	"github.com/weir-go/weir/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// shop counts what it was asked for.
type shop struct {
	orders int
	serve  http.HandlerFunc // nil: an order
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.orders++
	if s.serve != nil {
		s.serve(w, r)
		return
	}
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Location", fmt.Sprintf("/orders/%d", s.orders))
	w.WriteHeader(http.StatusCreated)
	w.Header().Set("Late", "true")
	fmt.Fprintf(w, "order %d: %s", s.orders, body)
}

func handler(s *shop) *idemhttp.Handler {
	return &idemhttp.Handler{Client: &idem.Client{Store: new(idem.Memory)}, Operation: "order",
		Policy: idem.Policy{Unknown: idem.Halt()}, Next: s}
}

func post(h http.Handler, key, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/orders", strings.NewReader(body))
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func check(t *testing.T, w *httptest.ResponseRecorder, status int, body string, replayed bool) {
	t.Helper()
	if w.Code != status || !strings.Contains(w.Body.String(), body) || (w.Header().Get("Idempotency-Replayed") == "true") != replayed {
		t.Errorf("got %d %q, %v; want %d %q, replayed %v", w.Code, w.Body, w.Header(), status, body, replayed)
	}
}

func TestReplay(t *testing.T) {
	s := new(shop)
	h := handler(s)
	check(t, post(h, `"8e03978e"`, "lamp"), 201, "order 1: lamp", false)
	w := post(h, `"8e03978e"`, "lamp")
	check(t, w, 201, "order 1: lamp", true)
	if w.Header().Get("Location") != "/orders/1" || w.Header().Get("Late") != "" {
		t.Errorf("header %v", w.Header())
	}
	check(t, post(h, "8e03978e", "lamp"), 201, "order 1: lamp", true) // without quotes it is the same key
	check(t, post(h, `"8e03978e"`, "sofa"), 422, "another request", false)
	check(t, post(h, `"other"`, "sofa"), 201, "order 2: sofa", false)
	check(t, post(h, "", "sofa"), 201, "order 3: sofa", false)
	check(t, post(h, "", "sofa"), 201, "order 4: sofa", false)
}

// TestStatus: what each status says about the effect.
func TestStatus(t *testing.T) {
	for _, test := range []struct {
		first  int
		second int
		orders int
	}{
		{200, 200, 1}, {204, 204, 1}, {400, 400, 1}, {404, 404, 1},
		{429, 429, 2}, {503, 503, 2},
		{500, 500, 1}, {502, 500, 1},
	} {
		s := &shop{serve: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(test.first) }}
		h := handler(s)
		check(t, post(h, "k", ""), test.first, "", false)
		w := post(h, "k", "")
		if w.Code != test.second || s.orders != test.orders {
			t.Errorf("%d: then %d, %d runs", test.first, w.Code, s.orders)
		}
	}
}

func TestBadRequests(t *testing.T) {
	s := new(shop)
	h := handler(s)
	h.Required, h.MaxBody = true, 4
	check(t, post(h, "", ""), 400, "missing", false)
	for _, key := range []string{`"`, `""`, `"a`, `"a"b`, `"a";x=1`, `a b`, `a,b`, `"\x"`, "\"\u00e4\"", `"a\`, strings.Repeat("x", 2000)} {
		if w := post(h, key, ""); w.Code != 400 || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%.20q: %d %v", key, w.Code, w.Header())
		}
	}
	check(t, post(h, "a", "12345"), 413, "too large", false)
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	r.Header["Idempotency-Key"] = []string{"a", "b"}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	check(t, w, 400, "malformed", false)
	if s.orders != 0 {
		t.Errorf("%d runs", s.orders)
	}
	check(t, post(h, `"a \"b\" \\"`, "1234"), 201, "order 1", false)
	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil)) // keys mean nothing here
	check(t, w, 201, "order 2", false)
}

func TestInProgress(t *testing.T) {
	started, end := make(chan struct{}), make(chan struct{})
	s := &shop{serve: func(w http.ResponseWriter, _ *http.Request) { close(started); <-end; io.WriteString(w, "done") }}
	h := handler(s)
	first := make(chan *httptest.ResponseRecorder)
	go func() { first <- post(h, "k", "") }()
	<-started
	w := post(h, "k", "")
	check(t, w, 409, "in progress", false)
	if w.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	close(end)
	check(t, <-first, 200, "done", false)
	check(t, post(h, "k", ""), 200, "done", true)
}

// TestSpaces: one account's key is not another's.
func TestSpaces(t *testing.T) {
	h := handler(new(shop))
	account := "alice"
	h.Space = func(*http.Request) string { return account }
	check(t, post(h, "k", "lamp"), 201, "order 1", false)
	account = "bob"
	check(t, post(h, "k", "lamp"), 201, "order 2", false)
	account = "not a plain word"
	check(t, post(h, "k", "lamp"), 400, "cannot be used", false)
}

func TestLongResponse(t *testing.T) {
	s := &shop{serve: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X", "y")
		for range 10 {
			io.WriteString(w, "0123456789")
		}
	}}
	h := handler(s)
	h.MaxResponse = 50
	w := post(h, "k", "")
	if w.Code != 200 || w.Body.String() != strings.Repeat("0123456789", 10) || w.Header().Get("X") != "y" {
		t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
	}
	check(t, post(h, "k", ""), 409, "was not kept", false)
	h.MaxResponse = 100
	w = post(h, "k2", "")
	check(t, post(h, "k2", ""), 200, w.Body.String(), true)
}

// TestPanic goes on to the server, and leaves the effect unknown.
func TestPanic(t *testing.T) {
	s := &shop{serve: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }}
	h := handler(s)
	func() {
		defer func() {
			if recover() != http.ErrAbortHandler {
				t.Error("no panic")
			}
		}()
		post(h, "k", "")
	}()
	check(t, post(h, "k", ""), 500, "somebody has to look", false)
}

// away is a store that cannot be asked.
type away struct{ idem.Store }

func (away) Begin(context.Context, string, idem.Claim) (idem.Grant, error) {
	return idem.Grant{}, fmt.Errorf("%w: no route to host", idem.ErrRefused)
}

func TestNoStore(t *testing.T) {
	s := new(shop)
	h := handler(s)
	h.Client = &idem.Client{Store: away{}}
	check(t, post(h, "k", ""), 503, "nothing was done", false)
	if s.orders != 0 {
		t.Error("it was done")
	}
}

func TestAttempt(t *testing.T) {
	s := &shop{serve: func(w http.ResponseWriter, r *http.Request) {
		a := idemhttp.FromContext(r.Context())
		if a == nil || a.Fence == 0 {
			t.Errorf("attempt %+v", a)
			return
		}
		if err := a.Mark(r.Context(), []byte("step")); err != nil {
			t.Error(err)
		}
	}}
	post(handler(s), "k", "")
	if a := idemhttp.FromContext(context.Background()); a != nil {
		t.Errorf("attempt %+v", a)
	}
}

// ExampleHandler: an order that is sent twice is placed once.
func ExampleHandler() {
	placed := 0
	h := &idemhttp.Handler{
		Client:    &idem.Client{Store: new(idem.Memory)},
		Operation: "order",
		Policy:    idem.Policy{Unknown: idem.Halt()},
		Next: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			placed++
			fmt.Fprintf(w, "order %d", placed)
		}),
	}
	for range 2 {
		r := httptest.NewRequest("POST", "/orders", strings.NewReader("lamp"))
		r.Header.Set("Idempotency-Key", `"8e03978e-40d5-43dd-bc93-6894a57f9324"`)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Printf("%d %s, replayed: %q\n", w.Code, w.Body, w.Header().Get("Idempotency-Replayed"))
	}
	// Output:
	// 200 order 1, replayed: ""
	// 200 order 1, replayed: "true"
}
