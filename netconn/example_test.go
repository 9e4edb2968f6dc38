package netconn_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"time"

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
