package grpc

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/weir-go/weir/stream"
)

// ErrConfig is what Check returns: Config.Methods says something of a method that
// is not registered, or names a twin that cannot stand in for it.
var ErrConfig = errors.New("grpc: Config.Methods does not fit what is registered")

// known is what Check knows of a method.
type known struct {
	unary           bool // one request, one answer
	clientStreaming bool // of many requests and one answer, for which no unary call can stand in
	core            bool // Handle's
}

// Handle registers a method that is served by package stream's means next to
// generated ones, as Core's Handle does, so that Config.Methods may name it as a
// twin. What Config.Methods says of other methods m has itself.
func (s *Server) Handle(path string, m stream.Method) error {
	if err := s.core.Handle(path, m); err != nil {
		return err
	}
	s.methods[path] = known{unary: m.Unary != nil || m.Brief, core: true}
	return nil
}

// Check reports whether Config.Methods fits the methods that are registered, once
// all are and before the server listens:
//
//	pb.RegisterChatServer(srv, &chat{})
//	if err := srv.Check(); err != nil {
//		return err
//	}
//	rt.Listen(addr, srv.Serve)
//
// The error is an ErrConfig with the names: of those that no method has, of those
// that have a twin and are calls themselves, and of twins that are no registered
// unary method, or one whose messages are not those of the stream. Messages are
// compared where protobuf knows them: a field's number must not mean a string
// here and an integer there. A twin that Config.Unknown may serve is not looked
// for.
//
// A program need not call it, but then it hears of a mistake late: Serve and
// ServeTLS look at the first connection, and close it and all others with the
// error, which conn.Trace's Closed is told.
func (s *Server) Check() error {
	var all []error
	for _, path := range slices.Sorted(maps.Keys(s.cfg.Methods)) {
		if err := s.checkMethod(path, s.cfg.Methods[path].Twin); err != nil {
			all = append(all, fmt.Errorf("%w: %w", ErrConfig, err))
		}
	}
	return errors.Join(all...)
}

func (s *Server) checkMethod(path, twin string) error {
	m, ok := s.methods[path]
	switch {
	case !ok:
		return fmt.Errorf("no method %q", path)
	case m.core:
		return fmt.Errorf("%q is Handle's, and has its options from there", path)
	case twin == "":
		return nil
	case m.unary || m.clientStreaming:
		return fmt.Errorf("%q has one answer: no twin (%q) can stand in for it", path, twin)
	}
	t, ok := s.methods[twin]
	switch {
	case !ok && s.cfg.Unknown != nil:
		return nil
	case !ok:
		return fmt.Errorf("no method %q, the twin of %q", twin, path)
	case !t.unary:
		return fmt.Errorf("%q, the twin of %q, is not unary", twin, path)
	}
	return checkMessages(path, twin)
}

// checkMessages compares what a method and its twin take and answer, if protobuf
// knows both.
func checkMessages(path, twin string) error {
	m, t := described(path), described(twin)
	if m == nil || t == nil {
		return nil
	}
	for _, pair := range [][2]protoreflect.MessageDescriptor{{m.Input(), t.Input()}, {m.Output(), t.Output()}} {
		if f := clash(pair[0], pair[1], make(map[[2]protoreflect.FullName]bool)); f != nil {
			return fmt.Errorf("%q, the twin of %q: field %d of %s is not %s",
				twin, path, f.Number(), pair[1].FullName(), f.FullName())
		}
	}
	return nil
}

// described returns what protobuf knows of a method, nil when that is nothing.
func described(path string) protoreflect.MethodDescriptor {
	name := strings.ReplaceAll(strings.TrimPrefix(path, "/"), "/", ".")
	d, _ := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
	m, _ := d.(protoreflect.MethodDescriptor)
	return m
}

// clash returns a field of a that b has under the same number as something else,
// nil when there is none. Names may differ, and either may have fields that the
// other has not: requests of their own for each method are good custom.
func clash(a, b protoreflect.MessageDescriptor, seen map[[2]protoreflect.FullName]bool) protoreflect.FieldDescriptor {
	pair := [2]protoreflect.FullName{a.FullName(), b.FullName()}
	if pair[0] == pair[1] || seen[pair] {
		return nil
	}
	seen[pair] = true
	for i := range a.Fields().Len() {
		f := a.Fields().Get(i)
		g := b.Fields().ByNumber(f.Number())
		if g == nil {
			continue
		}
		if repeated(f) != repeated(g) || wire(f.Kind()) != wire(g.Kind()) {
			return f
		}
		if f.Message() != nil && clash(f.Message(), g.Message(), seen) != nil {
			return f
		}
	}
	return nil
}

func repeated(f protoreflect.FieldDescriptor) bool { return f.Cardinality() == protoreflect.Repeated }

// wire is one of the kinds that protobuf's rules for changing a message's type
// say may take each other's place.
func wire(k protoreflect.Kind) protoreflect.Kind {
	switch k {
	case protoreflect.Int32Kind, protoreflect.Uint32Kind, protoreflect.Int64Kind, protoreflect.Uint64Kind,
		protoreflect.EnumKind, protoreflect.BoolKind:
		return protoreflect.Int64Kind
	case protoreflect.Sint32Kind:
		return protoreflect.Sint64Kind
	case protoreflect.Sfixed32Kind:
		return protoreflect.Fixed32Kind
	case protoreflect.Sfixed64Kind:
		return protoreflect.Fixed64Kind
	case protoreflect.BytesKind:
		return protoreflect.StringKind
	}
	return k
}
