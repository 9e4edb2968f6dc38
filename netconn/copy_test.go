package netconn_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/netconn"
)

func fileOf(t testing.TB, content []byte) *os.File {
	t.Helper()
	name := filepath.Join(t.TempDir(), "f")
	ok(t, os.WriteFile(name, content, 0o600))
	f, err := os.Open(name)
	ok(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// received reads everything the client gets.
func received(g *tasks, c *netconn.Conn, into *[]byte) {
	g.do(func() (err error) { *into, err = io.ReadAll(c); return err })
}

// TestReadFrom: a file whole, from the middle, limited; and sources that are no
// regular file.
func TestReadFrom(t *testing.T) {
	content := bytesOf(7, 3<<20)
	sources := map[string]struct {
		open func(t *testing.T) io.Reader
		want []byte
	}{
		"file":    {func(t *testing.T) io.Reader { return fileOf(t, content) }, content},
		"limited": {func(t *testing.T) io.Reader { return io.LimitReader(fileOf(t, content), 1<<20) }, content[:1<<20]},
		"limit above the end": {func(t *testing.T) io.Reader {
			return io.LimitReader(fileOf(t, content), 1<<40)
		}, content},
		"limit of nothing": {func(t *testing.T) io.Reader { return io.LimitReader(fileOf(t, content), 0) }, nil},
		"rest of a file": {func(t *testing.T) io.Reader {
			f := fileOf(t, content)
			f.Seek(12345, io.SeekStart)
			return f
		}, content[12345:]},
		"empty file": {func(t *testing.T) io.Reader { return fileOf(t, nil) }, nil},
		"pipe": {func(t *testing.T) io.Reader {
			r, w, err := os.Pipe()
			ok(t, err)
			t.Cleanup(func() { r.Close() })
			go func() { w.Write(content); w.Close() }()
			return r
		}, content},
		"memory": {func(t *testing.T) io.Reader { return struct{ io.Reader }{bytes.NewReader(content)} }, content},
	}
	ways := map[string]func(c *netconn.Conn, r io.Reader) (int64, error){"copy": copyFrom, "sendfile": sendFile}
	each(t, func(t *testing.T, rt *conn.Runtime, network string) {
		for name, source := range sources {
			for way, send := range ways {
				t.Run(name+"/"+way, func(t *testing.T) {
					client, server := pair(t, rt, network)
					before := rt.Stats()
					var g tasks
					var got []byte
					received(&g, client, &got)
					r := source.open(t)
					n, err := send(server, r)
					ok(t, err)
					want(t, n, int64(len(source.want)))
					ok(t, server.Close())
					g.wait(t)
					want(t, bytes.Equal(got, source.want), true)
					after := rt.Stats()
					want(t, after.BytesWritten-before.BytesWritten, uint64(len(source.want)))
					want(t, after.BytesRead-before.BytesRead, uint64(len(source.want)))
					if l, ok := r.(*io.LimitedReader); ok && name == "limited" {
						want(t, l.N, int64(0))
					}
					if f, isFile := r.(*os.File); isFile && name != "pipe" {
						at, err := f.Seek(0, io.SeekCurrent)
						ok(t, err)
						want(t, at, int64(len(content))*int64(min(len(source.want), 1)))
					}
				})
			}
		}
	})
}

func seek(f *os.File, to int64) error {
	_, err := f.Seek(to, io.SeekStart)
	return err
}

func copyFrom(c *netconn.Conn, r io.Reader) (int64, error) { return io.Copy(c, r) }

// sendFile leaves to a copy what the kernel cannot do.
func sendFile(c *netconn.Conn, r io.Reader) (int64, error) {
	if n, err, handled := netconn.SendFile(c, r); handled {
		return n, err
	}
	return io.Copy(c, r)
}

// TestReadFromProc: files of no size have contents all the same.
func TestReadFromProc(t *testing.T) {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	rt := start(t, conn.Config{})
	client, server := pair(t, rt, "tcp4")
	var g tasks
	var got []byte
	received(&g, client, &got)
	_, err = sendFile(server, f)
	ok(t, err)
	ok(t, server.Close())
	g.wait(t)
	want(t, strings.HasPrefix(string(got), "Name:"), true)
}

// TestReadFromDeadline: a transfer that nobody takes ends with its deadline and
// tells how far it came, from where it can go on.
func TestReadFromDeadline(t *testing.T) {
	content := bytesOf(8, 32<<20)
	test := func(t *testing.T, rt *conn.Runtime, network string, send func(*netconn.Conn, io.Reader) (int64, error)) {
		client, server := pair(t, rt, network)
		f := fileOf(t, content)
		ok(t, server.SetWriteDeadline(time.Now().Add(20*time.Millisecond)))
		n, err := send(server, f)
		ok(t, lateOnly(err))
		if n == 0 || n == int64(len(content)) {
			t.Fatalf("%d bytes were taken", n)
		}
		ok(t, server.SetWriteDeadline(time.Time{}))
		ok(t, seek(f, n))
		var g tasks
		var got []byte
		received(&g, client, &got)
		m, err := send(server, f)
		ok(t, err)
		want(t, n+m, int64(len(content)))
		ok(t, server.Close())
		g.wait(t)
		want(t, bytes.Equal(got, content), true)
	}
	each(t, func(t *testing.T, rt *conn.Runtime, network string) {
		t.Run("copy", func(t *testing.T) { test(t, rt, network, copyFrom) })
		t.Run("sendfile", func(t *testing.T) { test(t, rt, network, sendFile) })
	})
}

// TestWriteTo: a stream into anything, and from one connection into another.
func TestWriteTo(t *testing.T) {
	message := bytesOf(2, 4<<20)
	each(t, func(t *testing.T, rt *conn.Runtime, network string) {
		client, in := pair(t, rt, network)
		out, sink := pair(t, rt, network)
		var g tasks
		var got []byte
		received(&g, sink, &got)
		g.do(func() error {
			if _, err := client.Write(message); err != nil {
				return err
			}
			return client.CloseWrite()
		})
		n, err := io.Copy(out, in)
		ok(t, err)
		want(t, n, int64(len(message)))
		ok(t, out.CloseWrite())
		g.wait(t)
		want(t, bytes.Equal(got, message), true)
	})
}

var errFull = errors.New("full")

type fullWriter struct{ room int }

func (w *fullWriter) Write(p []byte) (int, error) {
	n := min(len(p), w.room)
	w.room -= n
	if n < len(p) {
		return n, errFull
	}
	return n, nil
}

// lazyWriter takes half and says nothing.
type lazyWriter struct{}

func (lazyWriter) Write(p []byte) (int, error) { return len(p) / 2, nil }

// TestWriteToFails: the writer's error is the writer's, and the count is what
// it took.
func TestWriteToFails(t *testing.T) {
	rt := start(t, conn.Config{})
	client, server := pair(t, rt, "tcp4")
	ok(t, discard(client.Write(bytesOf(1, 100))))
	n, err := server.WriteTo(&fullWriter{room: 10})
	want(t, n, int64(10))
	want(t, err, errFull)
	ok(t, discard(client.Write(bytesOf(1, 100))))
	n, err = server.WriteTo(lazyWriter{})
	want(t, n, int64(50))
	want(t, err, io.ErrShortWrite)
}

// TestLimitedCopyDoesNotWait for more than the limit.
func TestLimitedCopyDoesNotWait(t *testing.T) {
	rt := start(t, conn.Config{})
	client, in := pair(t, rt, "tcp4")
	out, sink := pair(t, rt, "tcp4")
	ok(t, discard(client.Write([]byte("five!"))))
	var g tasks
	g.do(func() error {
		n, err := io.CopyN(out, in, 5)
		if n != 5 {
			return errors.Join(err, errors.New("not five bytes"))
		}
		return err
	})
	ok(t, discard(io.ReadFull(sink, make([]byte, 5))))
	g.wait(t)
}

// TestWritev: gathered, in order, whole.
func TestWritev(t *testing.T) {
	each(t, func(t *testing.T, rt *conn.Runtime, network string) {
		client, server := pair(t, rt, network)
		var g tasks
		var got []byte
		received(&g, client, &got)
		bufs := [][]byte{[]byte("a"), nil, bytesOf(1, 1<<20), []byte("b")}
		for range 2000 {
			bufs = append(bufs, []byte("c"))
		}
		whole := bytes.Join(bufs, nil)
		n, err := server.Writev(bufs)
		ok(t, err)
		want(t, n, int64(len(whole)))
		want(t, bytes.Equal(bytes.Join(bufs, nil), whole), true)
		ok(t, server.Close())
		g.wait(t)
		want(t, bytes.Equal(got, whole), true)
	})
}
