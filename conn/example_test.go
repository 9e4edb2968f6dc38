package conn_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"time"

	"github.com/weir-go/weir/conn"
)

var anyPort = conn.TCP(netip.MustParseAddrPort("127.0.0.1:0"))

// echo answers each message with itself.
type echo struct{}

func (echo) Data(c *conn.Conn) error {
	n, err := c.Write(c.Peek())
	c.Discard(n)
	if err == conn.ErrFull {
		err = nil // the peer does not read: the rest stays, Drained goes on
	}
	return err
}

func (e echo) Drained(c *conn.Conn) { e.Data(c) }

func (echo) Closed(*conn.Conn, error) {}

// An echo server, and somebody who talks to it.
func ExampleRuntime_Listen() {
	rt, err := conn.Start(conn.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close()
	ln, err := rt.Listen(anyPort, func(*conn.Conn) conn.Handler { return echo{} })
	if err != nil {
		log.Fatal(err)
	}

	peer, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer peer.Close()
	fmt.Fprintln(peer, "hello")
	line, _ := bufio.NewReader(peer).ReadString('\n')
	fmt.Print(line)
	// Output: hello
}

// lookup answers questions that take time to answer.
type lookup struct{}

func (lookup) Data(c *conn.Conn) error {
	question, _, whole := bytes.Cut(c.Peek(), []byte("\n"))
	if !whole {
		return nil // the rest is shown together with what is here
	}
	key := string(question) // Peek's bytes are gone when the callback returns
	c.Discard(len(question) + 1)
	var answer string
	return c.Go(
		func() { answer = "the answer to " + key }, // in the pool: may block
		func() { fmt.Fprintln(c, answer) },         // on the loop again
	)
}

func (lookup) Closed(*conn.Conn, error) {}

// Blocking work goes to a pool, and its result back to the loop. Until then the
// connection is shown no more data, so that answers come in order.
func ExampleConn_Go() {
	rt, err := conn.Start(conn.Config{PoolSize: 64})
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close()
	ln, err := rt.Listen(anyPort, func(*conn.Conn) conn.Handler { return lookup{} })
	if err != nil {
		log.Fatal(err)
	}

	peer, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer peer.Close()
	fmt.Fprintln(peer, "everything")
	line, _ := bufio.NewReader(peer).ReadString('\n')
	fmt.Print(line)
	// Output: the answer to everything
}

// sniff looks at the first byte and hands the connection to a goroutine when it
// is a "B". It consumes nothing: the goroutine reads the byte again.
type sniff struct{ echo }

func (s sniff) Data(c *conn.Conn) error {
	if c.Peek()[0] != 'B' {
		c.SetHandler(echo{})
		return echo{}.Data(c)
	}
	b := c.Block()
	go func() {
		defer b.Close()
		b.SetDeadline(time.Now().Add(10 * time.Second))
		line, err := bufio.NewReader(b).ReadString('\n')
		if err == nil {
			fmt.Fprintf(b, "a goroutine read %q\n", line)
		}
	}()
	return nil
}

// A connection may change from callbacks to a goroutine that waits, with the
// bytes that were not consumed.
func ExampleConn_Block() {
	rt, err := conn.Start(conn.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close()
	ln, err := rt.Listen(anyPort, func(*conn.Conn) conn.Handler { return sniff{} })
	if err != nil {
		log.Fatal(err)
	}

	peer, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer peer.Close()
	fmt.Fprintln(peer, "Block, please")
	answer, _ := io.ReadAll(peer)
	fmt.Print(string(answer))
	// Output: a goroutine read "Block, please\n"
}

// One message to many connections: made once, copied nowhere, and freed when
// the last of them has sent it.
func ExampleShared() {
	rt, err := conn.Start(conn.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close()
	members := make(chan *conn.Conn)
	ln, err := rt.Listen(anyPort, func(c *conn.Conn) conn.Handler {
		go func() { members <- c }()
		return echo{}
	})
	if err != nil {
		log.Fatal(err)
	}

	var peers []net.Conn
	news := conn.NewShared([]byte("the news\n"), func() { fmt.Println("freed") })
	for range 3 {
		peer, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			log.Fatal(err)
		}
		defer peer.Close()
		peers = append(peers, peer)
		if err := (<-members).WriteShared(news); err != nil {
			log.Fatal(err)
		}
	}
	for _, peer := range peers {
		line, _ := bufio.NewReader(peer).ReadString('\n')
		fmt.Print(line)
	}
	news.Release() // ours; what still waits to be sent has its own
	// Output:
	// the news
	// the news
	// the news
	// freed
}

// polite says good-bye.
type polite struct{ echo }

func (polite) Shutdown(c *conn.Conn) {
	fmt.Fprintln(c, "good-bye")
	c.Close()
}

// Shutdown stops accepting, lets what is under way finish, and returns when all
// connections have ended, or forces them when its context does.
func ExampleRuntime_Shutdown() {
	rt, err := conn.Start(conn.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close()
	ln, err := rt.Listen(anyPort, func(*conn.Conn) conn.Handler { return polite{} })
	if err != nil {
		log.Fatal(err)
	}
	peer, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer peer.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := rt.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	last, _ := io.ReadAll(peer)
	fmt.Print(string(last))
	// Output: good-bye
}
