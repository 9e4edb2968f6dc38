// Package reflection tells clients what a server of package stream serves:
// gRPC's server reflection, versions 1 and 1alpha, by which grpcurl and its kin
// need no .proto file.
//
//	client                                server
//	  │ list_services                       │
//	  ├────────────────────────────────────►│ the services of Register's files
//	  │ file_containing_symbol              │
//	  ├────────────────────────────────────►│ that file and all that it imports,
//	  │ file_by_filename                    │ encoded when they were registered
//	  ├────────────────────────────────────►│
//
// It runs on callbacks: a client that keeps its stream open costs no goroutine.
// Answers are made of what was registered and of the question, so their size is
// known; a client that asks on and does not read is turned away.
//
// contrib/grpc needs none of this: grpc-go's own reflection registers there.
package reflection

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/weir-go/weir/stream"
)

// The two services are one: version 1 took the messages of 1alpha over.
var paths = []string{
	"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
	"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
}

// maxQuestion bounds a request, in bytes: the longest holds a name or two.
const maxQuestion = 16 << 10

// Register serves reflection about the services of files, before srv's first
// connection. It is an error when two of the files, or of those that they
// import, declare the same name, or when srv has reflection already.
func Register(srv *stream.Server, files ...protoreflect.FileDescriptor) error {
	b, err := newBook(files)
	if err != nil {
		return fmt.Errorf("reflection: %w", err)
	}
	method := stream.Method{
		Open:    func(*stream.Stream) (stream.Handler, error) { return b, nil },
		MaxRecv: maxQuestion,
	}
	for _, path := range paths {
		if err := srv.Handle(path, method); err != nil {
			return fmt.Errorf("reflection: %w", err)
		}
	}
	return nil
}

// Message answers a question. The book is the handler of all streams: they have
// nothing to remember.
func (b *book) Message(st *stream.Stream, m []byte) error {
	q, err := parse(m)
	if err != nil {
		return stream.Statusf(stream.InvalidArgument, "reflection: %v", err)
	}
	err = st.Emit(b.answer(m, q))
	if errors.Is(err, stream.ErrFull) {
		return stream.Statusf(stream.ResourceExhausted, "reflection: answers are not being read")
	}
	return err
}

// HalfClosed ends the stream: all questions are answered.
func (b *book) HalfClosed(st *stream.Stream) error {
	st.Finish(nil)
	return nil
}

func (b *book) Closed(*stream.Stream, error) {}
