package stream

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"sync"
)

// Compressor is one way to compress messages. Its methods may be called from any
// goroutine.
type Compressor interface {
	Name() string                                        // as in grpc-encoding
	Compress(dst, src []byte) ([]byte, error)            // appends to dst
	Decompress(dst, src []byte, max int) ([]byte, error) // appends at most max bytes to dst; ErrTooLarge when there are more
}

// ErrTooLarge is what a Compressor answers when a message decompresses to more
// than it may.
var ErrTooLarge = errors.New("stream: the message is too large when decompressed")

// Gzip returns the gzip Compressor; level is compress/gzip's, 0 its default.
func Gzip(level int) Compressor {
	if level == 0 {
		level = gzip.DefaultCompression
	}
	if _, err := gzip.NewWriterLevel(io.Discard, level); err != nil {
		level = gzip.DefaultCompression
	}
	return &gzipper{level: level}
}

type gzipper struct {
	level   int
	writers sync.Pool
	readers sync.Pool
}

func (g *gzipper) Name() string { return "gzip" }

// grow is an io.Writer that appends.
type grow struct{ b []byte }

func (g *grow) Write(p []byte) (int, error) {
	g.b = append(g.b, p...)
	return len(p), nil
}

type deflater struct {
	z   *gzip.Writer
	out grow
}

func (g *gzipper) Compress(dst, src []byte) ([]byte, error) {
	w, _ := g.writers.Get().(*deflater)
	if w == nil {
		z, err := gzip.NewWriterLevel(io.Discard, g.level)
		if err != nil {
			return dst, err
		}
		w = &deflater{z: z}
	}
	w.out.b = dst
	w.z.Reset(&w.out)
	_, err := w.z.Write(src)
	if e := w.z.Close(); err == nil {
		err = e
	}
	dst, w.out.b = w.out.b, nil
	g.writers.Put(w)
	return dst, err
}

type inflater struct {
	z   *gzip.Reader
	src bytes.Reader
}

func (g *gzipper) Decompress(dst, src []byte, max int) ([]byte, error) {
	r, _ := g.readers.Get().(*inflater)
	if r == nil {
		r = &inflater{}
	}
	defer g.readers.Put(r)
	r.src.Reset(src)
	var err error
	if r.z == nil {
		r.z, err = gzip.NewReader(&r.src)
	} else {
		err = r.z.Reset(&r.src)
	}
	if err != nil {
		r.z = nil
		return dst, err
	}
	return readAll(dst, r.z, max)
}

// readAll appends what r has, at most max bytes.
func readAll(dst []byte, r io.Reader, max int) ([]byte, error) {
	limit := len(dst) + max
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst) > limit:
			return dst[:limit], ErrTooLarge
		case err == io.EOF:
			return dst, nil
		case err != nil:
			return dst, err
		}
	}
}
