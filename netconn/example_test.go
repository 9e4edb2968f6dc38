package netconn_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/netconn"
)

// A stock http.Server on a Runtime's loops.
func ExampleListen() {
	rt, err := conn.Start(conn.Config{})
	if err != nil {
		panic(err)
	}
	defer rt.Close()
	l, err := netconn.Listen(rt, conn.TCP(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		panic(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "hello "+r.URL.Path[1:])
	})}
	done := make(chan error)
	go func() { done <- server.Serve(l) }()

	resp, err := http.Get("http://" + l.Addr().String() + "/weir")
	if err != nil {
		panic(err)
	}
	io.Copy(io.Discard, io.TeeReader(resp.Body, printer{}))
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	server.Shutdown(context.Background())
	fmt.Println(<-done)
	// Output:
	// hello weir
	// http: Server closed
}

type printer struct{}

func (printer) Write(p []byte) (int, error) { return fmt.Printf("%s\n", p) }

// A stock http.Client that dials through a Runtime.
func ExampleDialer() {
	rt, err := conn.Start(conn.Config{})
	if err != nil {
		panic(err)
	}
	defer rt.Close()
	l, err := netconn.Listen(rt, conn.TCP(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		panic(err)
	}
	defer l.Close()
	go http.Serve(l, http.NotFoundHandler())

	dialer := &netconn.Dialer{Runtime: rt, Timeout: 5 * time.Second}
	client := &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext}}
	resp, err := client.Get("http://" + l.Addr().String())
	if err != nil {
		panic(err)
	}
	resp.Body.Close()
	client.CloseIdleConnections()
	fmt.Println(resp.Status)
	// Output: 404 Not Found
}

// A server that can always still answer: what lasts is refused first, by the
// handler; then new connections, by the listener. Either way a client hears 503,
// and when to come back.
func ExampleUnavailable() {
	b, err := bounds.New(bounds.Config{})
	if err != nil {
		panic(err)
	}
	defer b.Close()
	rt, err := conn.Start(conn.Config{Bounds: b})
	if err != nil {
		panic(err)
	}
	defer rt.Close()
	l, err := netconn.ListenConfig{ListenConfig: conn.ListenConfig{Farewell: netconn.Unavailable(b)}}.
		Listen(rt, conn.TCP(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) { // this one lasts
		var refusal *bounds.Refusal
		if errors.As(b.Admit(), &refusal) {
			w.Header().Set("Retry-After", strconv.Itoa(int(refusal.RetryAfter.Seconds())))
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "events")
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go server.Serve(l)
	defer server.Close()

	get := func(c *http.Client) {
		resp, err := c.Get("http://" + l.Addr().String() + "/events")
		if err != nil {
			panic(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		fmt.Println(resp.StatusCode, resp.Header.Get("Retry-After") != "")
	}
	known, unknown := &http.Client{Transport: &http.Transport{}}, &http.Client{Transport: &http.Transport{}}
	get(known)
	b.Exhausted(bounds.Descriptors) // as when accept(2) says EMFILE
	get(known)                      // on the connection that it has: the handler's answer
	get(unknown)                    // the listener's
	known.CloseIdleConnections()
	// Output:
	// 200 false
	// 503 true
	// 503 true
}
