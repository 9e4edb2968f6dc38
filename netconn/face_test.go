package netconn_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/netconn"
)

// proxied reads a PROXY protocol (version 1) line on the callback face, then
// offers the connection with what follows the line.
type proxied struct {
	offer func(*conn.Conn) error
	lines chan string
}

var errNoProxyLine = errors.New("not a PROXY line")

func (p *proxied) Data(c *conn.Conn) error {
	line, _, found := bytes.Cut(c.Peek(), []byte("\r\n"))
	if !found {
		if c.Buffered() > 107 { // the longest there is
			return errNoProxyLine
		}
		return nil
	}
	if !bytes.HasPrefix(line, []byte("PROXY ")) {
		return errNoProxyLine
	}
	p.lines <- string(line)
	c.Discard(len(line) + 2)
	return p.offer(c)
}

func (p *proxied) Closed(c *conn.Conn, err error) {
	if err != nil {
		p.lines <- "closed: " + err.Error()
	}
}

// TestProxyLineThenHTTP: the first bytes on the callback face, the rest by
// net/http, in every way the bytes may be cut.
func TestProxyLineThenHTTP(t *testing.T) {
	const line = "PROXY TCP4 192.0.2.7 192.0.2.1 1234 80"
	message := line + "\r\nPOST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
	rt := start(t, conn.Config{})
	lines := make(chan string, 1)
	l := listenWith(t, rt, loopback4, netconn.ListenConfig{
		Serve: func(c *conn.Conn, offer func(*conn.Conn) error) conn.Handler {
			return &proxied{offer: offer, lines: lines}
		},
	})
	serveHTTP(t, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, r.Body)
	}))
	for _, cut := range []int{1, len(line), len(line) + 1, len(line) + 2, len(line) + 3, len(message) - 1, len(message)} {
		c := dial(t, rt, l.Addr())
		ok(t, discard(io.WriteString(c, message[:cut])))
		if cut > len(line)+1 {
			want(t, <-lines, line)
		}
		ok(t, discard(io.WriteString(c, message[cut:])))
		if cut <= len(line)+1 {
			want(t, <-lines, line)
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		ok(t, err)
		body, err := io.ReadAll(resp.Body)
		ok(t, err)
		want(t, string(body), "hello")
		c.Close()
	}

	// Something else is closed with the handler's error.
	c := dial(t, rt, l.Addr())
	ok(t, discard(io.WriteString(c, "GET / HTTP/1.1\r\n")))
	want(t, <-lines, "closed: "+errNoProxyLine.Error())
}

// TestTwoServersOnOnePort: the first byte decides whose connection it is.
func TestTwoServersOnOnePort(t *testing.T) {
	rt := start(t, conn.Config{})
	var echo *netconn.Listener
	web := netconn.NewListener(&net.TCPAddr{}, 0)
	t.Cleanup(func() { web.Close() })
	echo = netconn.NewListener(&net.TCPAddr{}, 0)
	t.Cleanup(func() { echo.Close() })
	port, err := rt.Listen(loopback4, func(*conn.Conn) conn.Handler { return sniffer{web, echo} })
	ok(t, err)
	t.Cleanup(func() { port.Close() })
	serveHTTP(t, web, http.NotFoundHandler())
	serveEcho(t, echo)

	to := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(port.Addr().IP.Port())}
	ok(t, ask(dial(t, rt, to), []byte("echo this")))
	c := dial(t, rt, to)
	ok(t, discard(io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	ok(t, err)
	resp.Body.Close()
	want(t, resp.StatusCode, http.StatusNotFound)
}

type sniffer struct{ web, echo *netconn.Listener }

func (s sniffer) Data(c *conn.Conn) error {
	if c.Peek()[0] == 'G' {
		return s.web.Offer(c)
	}
	return s.echo.Offer(c)
}

func (sniffer) Closed(*conn.Conn, error) {}

// serveEcho echoes on every connection of l until the test ends.
func serveEcho(t testing.TB, l net.Listener) {
	serveEach(t, l, func(c net.Conn) { io.Copy(c, c) })
}

// serveEach runs f on every connection of l, each in its goroutine, until the
// test ends.
func serveEach(t testing.TB, l net.Listener, f func(net.Conn)) {
	var g tasks
	g.do(func() error {
		for {
			c, err := l.Accept()
			if err != nil {
				return nil
			}
			g.do(func() error {
				defer c.Close()
				f(c)
				return nil
			})
		}
	})
	t.Cleanup(func() { l.Close(); g.wait(t) })
}

// upper answers in capitals, on the callback face.
type upper struct {
	seen   strings.Builder
	closed chan error
}

func (u *upper) Data(c *conn.Conn) error {
	p := c.Peek()
	u.seen.Write(p)
	_, err := c.Write(bytes.ToUpper(p))
	c.Discard(len(p))
	return err
}

func (u *upper) Closed(c *conn.Conn, err error) { u.closed <- err }

// TestBlockingToCallback: a greeting in straight-line code, then no goroutine.
// The bytes that were read too far are given back and come first.
func TestBlockingToCallback(t *testing.T) {
	each(t, func(t *testing.T, rt *conn.Runtime, network string) {
		client, server := pair(t, rt, network)
		ok(t, discard(io.WriteString(client, "HELLO me\nand more ")))
		r := bufio.NewReader(server)
		line, err := r.ReadString('\n')
		ok(t, err)
		want(t, line, "HELLO me\n")
		rest, err := r.Peek(r.Buffered())
		ok(t, err)
		server.Blocking().Unread(rest)
		u := &upper{closed: make(chan error, 1)}
		ok(t, server.Callback(u))
		ok(t, discard(io.WriteString(client, "of it")))
		answer := make([]byte, len("and more of it"))
		ok(t, discard(io.ReadFull(client, answer)))
		want(t, string(answer), "AND MORE OF IT")
		if err := discard(server.Read(make([]byte, 1))); err == nil {
			t.Error("the blocking face must be dead")
		}
		ok(t, client.Close())
		want(t, <-u.closed, io.EOF)
	})
}

// TestThereAndBack: faces change many times in the middle of a stream, and not
// a byte is lost, doubled or swapped.
func TestThereAndBack(t *testing.T) {
	each(t, func(t *testing.T, rt *conn.Runtime, network string) {
		client, server := pair(t, rt, network)
		message := bytesOf(9, 200_000)
		var g tasks
		g.do(func() error {
			defer client.CloseWrite()
			for p := message; len(p) > 0; {
				n := min(1+len(p)%700, len(p))
				if _, err := client.Write(p[:n]); err != nil {
					return err
				}
				p = p[n:]
			}
			return nil
		})
		h := &handOver{back: make(chan *netconn.Conn), ended: make(chan error, 1)}
		for size := 1; ; size = size%97 + 1 {
			p := make([]byte, size)
			n, err := server.Read(p)
			h.got = append(h.got, p[:n]...)
			if err == io.EOF {
				break
			}
			ok(t, err)
			ok(t, server.Callback(h))
			select {
			case server = <-h.back:
				continue
			case err := <-h.ended:
				want(t, err, io.EOF)
			}
			break
		}
		g.wait(t)
		want(t, len(h.got), len(message))
		want(t, bytes.Equal(h.got, message), true)
		server.Close()
	})
}

// handOver takes a part of what is there and gives the connection back.
type handOver struct {
	got   []byte
	back  chan *netconn.Conn
	ended chan error
}

func (h *handOver) Data(c *conn.Conn) error {
	p := c.Peek()
	n := (len(p) + 1) / 2
	h.got = append(h.got, p[:n]...)
	c.Discard(n)
	b := netconn.FromBlocking(c.Block())
	// The loop must not wait: whoever moved it here takes it back at once.
	go func() { h.back <- b }()
	return nil
}

func (h *handOver) Closed(c *conn.Conn, err error) { h.ended <- err }

// TestCallbackWhileReading: a connection does not change its face under a call.
func TestCallbackWhileReading(t *testing.T) {
	rt := start(t, conn.Config{})
	client, server := pair(t, rt, "tcp4")
	var g tasks
	g.do(func() error {
		p := make([]byte, 2)
		if _, err := io.ReadFull(server, p); err != nil || string(p) != "ok" {
			return fmt.Errorf("%q, %v", p, err)
		}
		return nil
	})
	parked(t, "netconn.(*Conn).Read", 1)
	wantIs(t, server.Callback(&upper{}), conn.ErrBusy)
	ok(t, discard(client.Write([]byte("ok"))))
	g.wait(t)
}

// TestOutputBeforeBlock: what was accepted on the callback face and is still
// pending comes first, however the blocking face goes on.
func TestOutputBeforeBlock(t *testing.T) {
	first, second := bytesOf(11, 8<<20), bytesOf(12, 100_000)
	ways := map[string]func(t *testing.T, c *netconn.Conn) error{
		"Write": func(t *testing.T, c *netconn.Conn) error { return discard(c.Write(second)) },
		"Writev": func(t *testing.T, c *netconn.Conn) error {
			_, err := c.Writev([][]byte{second[:7], second[7:]})
			return err
		},
		"ReadFrom": func(t *testing.T, c *netconn.Conn) error {
			_, err := c.ReadFrom(fileOf(t, second))
			return err
		},
		"sendfile": func(t *testing.T, c *netconn.Conn) error {
			_, err := sendFile(c, fileOf(t, second))
			return err
		},
	}
	each(t, func(t *testing.T, rt *conn.Runtime, network string) {
		for name, way := range ways {
			t.Run(name, func(t *testing.T) {
				l := listenWith(t, rt, at(t, network), netconn.ListenConfig{
					ListenConfig: conn.ListenConfig{Options: conn.Options{HighWater: 16 << 20}},
					Serve: func(c *conn.Conn, offer func(*conn.Conn) error) conn.Handler {
						if n, err := c.Write(first); n < len(first) {
							t.Error("not accepted:", err)
						}
						offer(c)
						return nil
					},
				})
				client := dial(t, rt, l.Addr())
				server := accept(t, l)
				var g tasks
				g.do(func() error { defer server.CloseWrite(); return way(t, server) })
				got, err := io.ReadAll(client)
				ok(t, err)
				g.wait(t)
				want(t, len(got), len(first)+len(second))
				want(t, bytes.Equal(got, append(first[:len(first):len(first)], second...)), true)
			})
		}
	})
}
