package grpc

import (
	"bytes"
	"io"
	"math/bits"

	"google.golang.org/grpc/encoding"

	"github.com/weir-go/weir/stream"
)

// Compressor returns what is registered under name with grpc-go's package
// encoding, for stream.Config's Compressors; nil when nothing is. gzip needs it
// not: it is what Compressors has when it is nil.
//
//	cfg.Compressors = []stream.Compressor{stream.Gzip(0), grpc.Compressor("zstd")}
func Compressor(name string) stream.Compressor {
	if c := encoding.GetCompressor(name); c != nil {
		return compressor{c}
	}
	return nil
}

// compressor is one of package encoding's.
type compressor struct{ c encoding.Compressor }

func (c compressor) Name() string { return c.c.Name() }

func (c compressor) Compress(dst, src []byte) ([]byte, error) {
	out := bytes.NewBuffer(dst)
	w, err := c.c.Compress(out)
	if err != nil {
		return dst, err
	}
	if _, err = w.Write(src); err != nil {
		return dst, err
	}
	err = w.Close()
	return out.Bytes(), err
}

func (c compressor) Decompress(dst, src []byte, max int) ([]byte, error) {
	r, err := c.c.Decompress(bytes.NewReader(src))
	if err != nil {
		return dst, err
	}
	out := bytes.NewBuffer(dst)
	// One byte more than allowed tells a message that fits from one that does
	// not.
	n, err := io.Copy(out, io.LimitReader(r, int64(max)+1))
	if err == nil && n > int64(max) {
		return dst, stream.ErrTooLarge
	}
	return out.Bytes(), err
}

// fitted is a compressor whose results lie in storage of package stream's sizes,
// powers of two: what append has grown is of other sizes, and must not come into
// its pool.
type fitted struct{ stream.Compressor }

// fit makes all of a configuration's compressors so; nil is gzip alone.
func fit(all []stream.Compressor) []stream.Compressor {
	if all == nil {
		all = []stream.Compressor{stream.Gzip(0)}
	}
	out := make([]stream.Compressor, 0, len(all))
	for _, c := range all {
		if c != nil { // of Compressor, for a name that is not registered
			out = append(out, fitted{c})
		}
	}
	return out
}

func (f fitted) Compress(dst, src []byte) ([]byte, error) {
	p, err := f.Compressor.Compress(nil, src)
	if err != nil {
		return dst, err
	}
	return add(dst, p), nil
}

func (f fitted) Decompress(dst, src []byte, max int) ([]byte, error) {
	p, err := f.Compressor.Decompress(nil, src, max)
	if err != nil {
		return dst, err
	}
	return add(dst, p), nil
}

// add appends p to dst, in larger storage if need be.
func add(dst, p []byte) []byte {
	const least = 512
	if n := len(dst) + len(p); n > cap(dst) {
		grown := make([]byte, len(dst), 1<<bits.Len(uint(max(n, least)-1)))
		copy(grown, dst)
		dst = grown
	}
	return append(dst, p...)
}
