package conn

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"
)

type echo struct{}

func (echo) Data(c *Conn) error {
	n, err := c.Write(c.Peek())
	c.Discard(n)
	if err == ErrFull {
		err = nil
	}
	return err
}
func (e echo) Drained(c *Conn)         { e.Data(c) }
func (echo) Closed(c *Conn, err error) {}

func TestEcho(t *testing.T) {
	rt, err := Start(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close()
	ln, err := rt.Listen(TCP(netip.MustParseAddrPort("127.0.0.1:0")), func(*Conn) Handler { return echo{} })
	if err != nil {
		t.Fatal(err)
	}
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<19)
	go func() { nc.Write(want); nc.(*net.TCPConn).CloseWrite() }()
	got, err := io.ReadAll(nc)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatal(len(got), err)
	}
}

func TestBlockingEcho(t *testing.T) {
	rt, err := Start(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close()
	ln, err := rt.Listen(TCP(netip.MustParseAddrPort("127.0.0.1:0")), func(c *Conn) Handler {
		b := c.Block()
		go func() {
			defer b.Close()
			p := make([]byte, 4096)
			for {
				n, err := b.Read(p)
				if err != nil {
					return
				}
				if _, err := b.Write(p[:n]); err != nil {
					return
				}
			}
		}()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<19)
	go func() { nc.Write(want); nc.(*net.TCPConn).CloseWrite() }()
	got, err := io.ReadAll(nc)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatal(len(got), err)
	}
}
