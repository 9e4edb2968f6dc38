package netconn_test

import (
	"io"
	"net"
	"testing"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/netconn"
)

// drained returns a connection whose peer, in package net's hands, reads and
// forgets.
func drained(b *testing.B) *netconn.Conn {
	rt := start(b, conn.Config{})
	stock, err := net.Listen("tcp4", "127.0.0.1:0")
	ok(b, err)
	serveEach(b, stock, func(c net.Conn) {
		p := make([]byte, 256<<10)
		for {
			if _, err := c.Read(p); err != nil {
				return
			}
		}
	})
	return dial(b, rt, stock.Addr())
}

// BenchmarkFile sends a file of 1 MiB from the page cache: by the kernel, and
// by a copy through a buffer.
func BenchmarkFile(b *testing.B) {
	f := fileOf(b, bytesOf(1, 1<<20))
	ways := map[string]func(*netconn.Conn, io.Reader) (int64, error){"copy": copyFrom, "sendfile": sendFile}
	for name, send := range ways {
		b.Run(name, func(b *testing.B) {
			c := drained(b)
			b.SetBytes(1 << 20)
			b.ReportAllocs()
			for b.Loop() {
				ok(b, seek(f, 0))
				if _, err := send(c, f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
