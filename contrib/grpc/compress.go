package grpc

import (
	"bytes"
	"io"

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
