package reflection

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/weir-go/weir/stream"
)

// book is what is known. It does not change once it is registered.
type book struct {
	services []string
	symbols  protoregistry.Files
	encoded  map[string][]byte   // FileDescriptorProto by the file's name
	imports  map[string][]string // names of the files that a file needs, itself first
}

// newBook learns files, whose services are those of the server.
func newBook(files []protoreflect.FileDescriptor) (*book, error) {
	b := &book{encoded: make(map[string][]byte), imports: make(map[string][]string)}
	for _, f := range files {
		if err := b.add(f); err != nil {
			return nil, err
		}
		for i := range f.Services().Len() {
			b.services = append(b.services, string(f.Services().Get(i).FullName()))
		}
	}
	return b, nil
}

// add learns a file and those that it imports.
func (b *book) add(f protoreflect.FileDescriptor) error {
	if _, known := b.encoded[f.Path()]; known {
		return nil
	}
	p, err := proto.Marshal(protodesc.ToFileDescriptorProto(f))
	if err != nil {
		return err
	}
	if err := b.symbols.RegisterFile(f); err != nil {
		return err
	}
	b.encoded[f.Path()] = p
	needs := []string{f.Path()}
	for i := range f.Imports().Len() {
		imported := f.Imports().Get(i)
		if imported.IsPlaceholder() {
			return fmt.Errorf("%s imports %s, which is not there", f.Path(), imported.Path())
		}
		if err := b.add(imported.FileDescriptor); err != nil {
			return err
		}
		for _, name := range b.imports[imported.Path()] {
			if !slices.Contains(needs, name) {
				needs = append(needs, name)
			}
		}
	}
	b.imports[f.Path()] = needs
	return nil
}

// answer makes the response to a question, which it contains as it came.
func (b *book) answer(asked []byte, q question) []byte {
	a := newAnswer(q.host, asked)
	switch q.kind {
	case fileByName:
		if needs := b.imports[q.name]; needs != nil {
			return a.files(b.encoded, needs)
		}
		return a.fault(stream.NotFound, "no file %q", q.name)
	case fileOfSymbol:
		d, err := b.symbols.FindDescriptorByName(protoreflect.FullName(q.name))
		if err != nil {
			return a.fault(stream.NotFound, "no symbol %q", q.name)
		}
		return a.files(b.encoded, b.imports[d.ParentFile().Path()])
	case fileOfExtension:
		for _, x := range b.extensions(q.name) {
			if int32(x.Number()) == q.number {
				return a.files(b.encoded, b.imports[x.ParentFile().Path()])
			}
		}
		return a.fault(stream.NotFound, "no extension %d of %q", q.number, q.name)
	case extensionNumbers:
		if _, err := b.symbols.FindDescriptorByName(protoreflect.FullName(q.name)); err != nil {
			return a.fault(stream.NotFound, "no type %q", q.name)
		}
		return a.numbers(q.name, b.extensions(q.name))
	case listServices:
		return a.services(b.services)
	}
	return a.fault(stream.InvalidArgument, "not a question that is known here")
}

// extensions returns those of a message. It looks through all files, which are
// few: hardly anybody asks.
func (b *book) extensions(of string) (all []protoreflect.ExtensionDescriptor) {
	b.symbols.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		all = appendExtensions(all, f, of)
		return true
	})
	return all
}

// nest is what declares extensions: a file, or a message in it.
type nest interface {
	Extensions() protoreflect.ExtensionDescriptors
	Messages() protoreflect.MessageDescriptors
}

func appendExtensions(all []protoreflect.ExtensionDescriptor, in nest, of string) []protoreflect.ExtensionDescriptor {
	for i := range in.Extensions().Len() {
		if x := in.Extensions().Get(i); string(x.ContainingMessage().FullName()) == of {
			all = append(all, x)
		}
	}
	for i := range in.Messages().Len() {
		all = appendExtensions(all, in.Messages().Get(i), of)
	}
	return all
}
