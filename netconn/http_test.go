package netconn_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/ports"
	"github.com/weir-go/weir/netconn"
)

// serveHTTP runs a stock http.Server on l until the test ends.
func serveHTTP(t testing.TB, l net.Listener, h http.Handler) *http.Server {
	t.Helper()
	s := &http.Server{Handler: h}
	runHTTP(t, s, func() error { return s.Serve(l) })
	return s
}

func runHTTP(t testing.TB, s *http.Server, serve func() error) {
	t.Helper()
	s.ErrorLog = log.New(io.Discard, "", 0) // of clients that go away
	var g tasks
	g.do(func() error {
		if err := serve(); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	t.Cleanup(func() { s.Close(); g.wait(t) })
}

// client returns a stock http.Client whose connections are rt's.
func client(t testing.TB, rt *conn.Runtime) *http.Client {
	d := &netconn.Dialer{Runtime: rt, Timeout: patience}
	tr := &http.Transport{
		DialContext:         d.DialContext,
		TLSClientConfig:     clientTLS(),
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 200,
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func get(c *http.Client, url string) (string, error) {
	resp, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return string(body), err
}

func echoPath(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) }

// TestHTTPKeepAlive: fifty requests, one connection.
func TestHTTPKeepAlive(t *testing.T) {
	rt := start(t, conn.Config{})
	l := listen(t, rt, loopback4)
	serveHTTP(t, l, http.HandlerFunc(echoPath))
	c := client(t, rt)
	for i := range 50 {
		path := fmt.Sprintf("/%d", i)
		got, err := get(c, "http://"+l.Addr().String()+path)
		ok(t, err)
		want(t, got, path)
	}
	want(t, rt.Stats().Accepted, uint64(1))
}

// TestHTTPParallel: a hundred requests at once, HTTP/1.1 on a hundred
// connections and HTTP/2 on one.
func TestHTTPParallel(t *testing.T) {
	const n = 100
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%v", secure), func(t *testing.T) {
			rt := start(t, conn.Config{})
			l := listen(t, rt, loopback4)
			var together sync.WaitGroup
			together.Add(n)
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				together.Done()
				together.Wait() // all are being served at the same time
				fmt.Fprintf(w, "%s %d", r.URL.Path, r.ProtoMajor)
			})
			url, major := "http://"+l.Addr().String(), 1
			if secure {
				s := &http.Server{Handler: h, TLSConfig: serverTLS()}
				runHTTP(t, s, func() error { return s.ServeTLS(l, "", "") })
				url, major = "https://"+l.Addr().String(), 2
			} else {
				serveHTTP(t, l, h)
			}
			c := client(t, rt)
			var g tasks
			for i := range n {
				g.do(func() error {
					path := fmt.Sprintf("/%d", i)
					got, err := get(c, url+path)
					if expected := fmt.Sprintf("%s %d", path, major); err == nil && got != expected {
						err = fmt.Errorf("got %q, want %q", got, expected)
					}
					return err
				})
			}
			g.wait(t)
		})
	}
}

// TestHTTPHijack: the server reads in the background to notice that its client
// goes away; to hijack the connection it must get that read back, by a deadline
// in the past, without losing a byte.
func TestHTTPHijack(t *testing.T) {
	rt := start(t, conn.Config{})
	l := listen(t, rt, loopback4)
	hijacked := make(chan struct{})
	serveHTTP(t, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parkedRead(t)
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		if _, ok := c.(*netconn.Conn); !ok {
			t.Errorf("hijacked a %T", c)
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		hijacked <- struct{}{}
		io.Copy(c, rw)
	}))
	for range 20 {
		c := dial(t, rt, l.Addr())
		ok(t, discard(io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")))
		r := bufio.NewReader(c)
		resp, err := http.ReadResponse(r, nil)
		ok(t, err)
		want(t, resp.StatusCode, http.StatusSwitchingProtocols)
		<-hijacked
		for i := range 10 {
			ok(t, ask(struct {
				io.Reader
				io.Writer
			}{r, c}, fmt.Appendf(nil, "message %d", i)))
		}
		c.Close()
	}
}

// parkedRead waits until the server's background read waits for bytes.
func parkedRead(t testing.TB) { parked(t, "net/http.(*connReader).backgroundRead", 1) }

// TestHTTPClientGoesAway: the server's context ends when the client does,
// which only that background read can notice.
func TestHTTPClientGoesAway(t *testing.T) {
	rt := start(t, conn.Config{})
	l := listen(t, rt, loopback4)
	arrived, noticed := make(chan struct{}), make(chan error, 1)
	serveHTTP(t, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		noticed <- r.Context().Err()
	}))
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-arrived; cancel() }()
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+l.Addr().String(), nil)
	ok(t, err)
	_, err = client(t, rt).Do(req)
	wantIs(t, err, context.Canceled)
	select {
	case err := <-noticed:
		wantIs(t, err, context.Canceled)
	case <-time.After(patience):
		t.Fatal("the server never noticed")
	}
}

// TestHTTPShutdown: the request in flight is answered, new ones are refused.
func TestHTTPShutdown(t *testing.T) {
	rt := start(t, conn.Config{})
	l := listen(t, rt, conn.TCP(ports.Hold(t)))
	arrived, release := make(chan struct{}), make(chan struct{})
	s := serveHTTP(t, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
		io.WriteString(w, "done")
	}))
	c := client(t, rt)
	url := "http://" + l.Addr().String()
	var g tasks
	g.do(func() error {
		got, err := get(c, url)
		if err == nil && got != "done" {
			err = fmt.Errorf("got %q", got)
		}
		return err
	})
	<-arrived
	g.do(func() error { return s.Shutdown(within(t)) })
	until(t, "the port is closed", func() bool {
		_, err := get(client(t, rt), url) // one that came in between breaks, for there is no second arrival
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	close(release)
	g.wait(t)
	until(t, "all connections are closed", func() bool { return rt.Stats().Conns == 0 })
}

// bigBody is as long as size, never the same, and hashes what it gave.
type bigBody struct {
	block []byte
	at    int64
	size  int64
	sum   func([]byte)
}

func (b *bigBody) Read(p []byte) (int, error) {
	if b.at == b.size {
		return 0, io.EOF
	}
	off := int(b.at % int64(len(b.block)))
	n := copy(p, b.block[off:])
	n = int(min(int64(n), b.size-b.at))
	if n >= 8 { // so that no two blocks are the same
		copy(p, fmt.Sprintf("%08x", uint32(b.at))[:8])
	}
	b.at += int64(n)
	b.sum(p[:n])
	return n, nil
}

// TestHTTPBigBody sends 100 MB up and gets 100 MB back, at the same time.
func TestHTTPBigBody(t *testing.T) {
	size := int64(100 << 20)
	if testing.Short() {
		size = 10 << 20
	}
	block := bytesOf(4, 1<<20+17)
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%v", secure), func(t *testing.T) {
			rt := start(t, conn.Config{})
			l := listen(t, rt, loopback4)
			sums := make(chan [2][32]byte, 1) // received, sent
			s := &http.Server{TLSConfig: serverTLS(), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				http.NewResponseController(w).EnableFullDuplex()
				in, out := sha256.New(), sha256.New()
				var g tasks
				g.do(func() error { return copyAll(in, r.Body, size) })
				g.do(func() error {
					body := &bigBody{block: block, size: size, sum: func(p []byte) { out.Write(p) }}
					return copyAll(w, body, size)
				})
				g.wg.Wait()
				for _, err := range g.errs {
					t.Error("server:", err)
				}
				sums <- [2][32]byte{[32]byte(in.Sum(nil)), [32]byte(out.Sum(nil))}
			})}
			url := "http://" + l.Addr().String()
			serve := func() error { return s.Serve(l) }
			if secure {
				url = "https://" + l.Addr().String()
				serve = func() error { return s.ServeTLS(l, "", "") }
			}
			runHTTP(t, s, serve)

			sent, received := sha256.New(), sha256.New()
			body := &bigBody{block: block, size: size, sum: func(p []byte) { sent.Write(p) }}
			req, err := http.NewRequest("POST", url, io.NopCloser(body))
			ok(t, err)
			req.ContentLength = size
			resp, err := client(t, rt).Do(req)
			ok(t, err)
			defer resp.Body.Close()
			ok(t, copyAll(received, resp.Body, size))
			server := <-sums
			want(t, server[0], [32]byte(sent.Sum(nil)))
			want(t, server[1], [32]byte(received.Sum(nil)))
		})
	}
}

func copyAll(w io.Writer, r io.Reader, size int64) error {
	n, err := io.Copy(w, r)
	if err == nil && n != size {
		err = fmt.Errorf("%d bytes instead of %d", n, size)
	}
	return err
}

// TestHTTPFile: http.ServeFile reaches ReadFrom, with ranges.
func TestHTTPFile(t *testing.T) {
	rt := start(t, conn.Config{})
	l := listen(t, rt, loopback4)
	name := filepath.Join(t.TempDir(), "f")
	content := bytesOf(6, 5<<20)
	ok(t, os.WriteFile(name, content, 0o600))
	serveHTTP(t, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, name) }))
	c := client(t, rt)
	for _, r := range []struct {
		header   string
		from, to int
	}{{"", 0, len(content)}, {"bytes=100000-", 100000, len(content)}, {"bytes=7-2000006", 7, 2000007}} {
		req, err := http.NewRequest("GET", "http://"+l.Addr().String(), nil)
		ok(t, err)
		if r.header != "" {
			req.Header.Set("Range", r.header)
		}
		resp, err := c.Do(req)
		ok(t, err)
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		ok(t, err)
		want(t, bytes.Equal(got, content[r.from:r.to]), true)
	}
}

// TestHTTPClientReusesAfterIdle: an idle connection that the server has closed
// is noticed, and not handed to the next request.
func TestHTTPClientReusesAfterIdle(t *testing.T) {
	rt := start(t, conn.Config{})
	l := listen(t, rt, loopback4)
	s := &http.Server{Handler: http.HandlerFunc(echoPath), IdleTimeout: 5 * time.Millisecond}
	runHTTP(t, s, func() error { return s.Serve(l) })
	c := client(t, rt)
	var reused atomic.Int32
	trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		if i.Reused {
			reused.Add(1)
		}
	}}
	for range 5 {
		req, err := http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), trace), "POST", "http://"+l.Addr().String()+"/x", nil)
		ok(t, err)
		resp, err := c.Do(req)
		ok(t, err)
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		until(t, "both ends are closed", func() bool { return rt.Stats().Conns == 0 })
	}
	want(t, reused.Load(), int32(0))
}

// TestHTTPOneTLSConnection: HTTP/2 is agreed upon in the handshake.
func TestHTTPOneTLSConnection(t *testing.T) {
	rt := start(t, conn.Config{})
	l := listen(t, rt, loopback4)
	var states atomic.Int32
	s := &http.Server{
		TLSConfig: serverTLS(),
		Handler:   http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.TLS.NegotiatedProtocol) }),
		ConnState: func(c net.Conn, s http.ConnState) {
			if _, ok := c.(*tls.Conn); ok && s == http.StateNew {
				states.Add(1)
			}
		},
	}
	runHTTP(t, s, func() error { return s.ServeTLS(l, "", "") })
	c := client(t, rt)
	for range 10 {
		got, err := get(c, "https://"+l.Addr().String())
		ok(t, err)
		want(t, got, "h2")
	}
	want(t, states.Load(), int32(1))
}
