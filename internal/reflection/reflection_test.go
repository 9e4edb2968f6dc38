package reflection

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/weir-go/weir/internal/leak"
	"github.com/weir-go/weir/stream"
)

func TestMain(m *testing.M) { leak.Main(m) }

// file is a file of its own making: it imports another, has two services, and a
// message that it extends itself.
func file(t testing.TB) protoreflect.FileDescriptor {
	t.Helper()
	message := func(name string) *descriptorpb.DescriptorProto {
		return &descriptorpb.DescriptorProto{Name: &name}
	}
	service := func(name string) *descriptorpb.ServiceDescriptorProto {
		return &descriptorpb.ServiceDescriptorProto{Name: &name, Method: []*descriptorpb.MethodDescriptorProto{{
			Name: proto.String("M"), InputType: proto.String(".a.In"), OutputType: proto.String(".google.protobuf.Timestamp"),
		}}}
	}
	extension := func(name string, n int32) *descriptorpb.FieldDescriptorProto {
		return &descriptorpb.FieldDescriptorProto{
			Name: &name, Number: &n, Extendee: proto.String(".a.In"),
			Type:  descriptorpb.FieldDescriptorProto_TYPE_INT32.Enum(),
			Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		}
	}
	in, nest := message("In"), message("Nest")
	in.ExtensionRange = []*descriptorpb.DescriptorProto_ExtensionRange{{Start: proto.Int32(100), End: proto.Int32(200)}}
	nest.Extension = []*descriptorpb.FieldDescriptorProto{extension("y", 101)}
	f, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("a.proto"), Package: proto.String("a"),
		Dependency:  []string{"google/protobuf/timestamp.proto"},
		MessageType: []*descriptorpb.DescriptorProto{in, nest},
		Extension:   []*descriptorpb.FieldDescriptorProto{extension("x", 100)},
		Service:     []*descriptorpb.ServiceDescriptorProto{service("S"), service("T")},
	}, protoregistry.GlobalFiles)
	require.NoError(t, err)
	return f
}

func library(t testing.TB) *book {
	t.Helper()
	b, err := newBook([]protoreflect.FileDescriptor{file(t)})
	require.NoError(t, err)
	return b
}

// ask encodes a question.
func ask(kind protowire.Number, v string) []byte { return field(nil, kind, []byte(v)) }

// extension encodes an ExtensionRequest.
func extension(of string, n uint64) string {
	p := protowire.AppendTag(field(nil, 1, []byte(of)), 2, protowire.VarintType)
	return string(protowire.AppendVarint(p, n))
}

// values returns the fields n of a message that have bytes.
func values(t testing.TB, p []byte, n protowire.Number) (all [][]byte) {
	t.Helper()
	require.NoError(t, fields(p, func(m protowire.Number, v []byte, _ uint64) error {
		if m == n && v != nil {
			all = append(all, v)
		}
		return nil
	}))
	return all
}

func TestAnswers(t *testing.T) {
	const timestamp = "google/protobuf/timestamp.proto"
	both := []string{"a.proto", timestamp}
	for _, test := range []struct {
		name  string
		ask   []byte
		files []string
		fault string
	}{
		{"a file with its imports", ask(fileByName, "a.proto"), both, ""},
		{"an imported file", ask(fileByName, timestamp), []string{timestamp}, ""},
		{"no such file", ask(fileByName, "b.proto"), nil, `no file "b.proto"`},
		{"a service", ask(fileOfSymbol, "a.S"), both, ""},
		{"a method", ask(fileOfSymbol, "a.T.M"), both, ""},
		{"a message", ask(fileOfSymbol, "a.In"), both, ""},
		{"an imported field", ask(fileOfSymbol, "google.protobuf.Timestamp.nanos"), []string{timestamp}, ""},
		{"no such symbol", ask(fileOfSymbol, "a.U"), nil, `no symbol "a.U"`},
		{"a symbol that is none", ask(fileOfSymbol, "..a"), nil, `no symbol "..a"`},
		{"an extension", ask(fileOfExtension, extension("a.In", 100)), both, ""},
		{"a nested extension", ask(fileOfExtension, extension("a.In", 101)), both, ""},
		{"no such extension", ask(fileOfExtension, extension("a.In", 102)), nil, `no extension 102 of "a.In"`},
		{"extensions of nothing", ask(extensionNumbers, "a.U"), nil, `no type "a.U"`},
		{"nothing", nil, nil, "not a question that is known here"},
		{"a question of the future", ask(9, "?"), nil, "not a question that is known here"},
		{"two questions, the last counts", append(ask(fileOfSymbol, "a.S"), ask(fileByName, timestamp)...), []string{timestamp}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			q, err := parse(test.ask)
			require.NoError(t, err)
			a := library(t).answer(test.ask, q)
			require.Equal(t, [][]byte{test.ask}, nonNil(values(t, a, 2)), "what was asked comes back")
			var got []string
			for _, r := range values(t, a, 4) {
				for _, encoded := range values(t, r, 1) {
					var p descriptorpb.FileDescriptorProto
					require.NoError(t, proto.Unmarshal(encoded, &p))
					got = append(got, p.GetName())
				}
			}
			require.Equal(t, test.files, got)
			if faults := values(t, a, 7); test.fault != "" {
				require.Len(t, faults, 1)
				require.Equal(t, test.fault, string(values(t, faults[0], 2)[0]))
			} else {
				require.Empty(t, faults)
			}
		})
	}
}

// nonNil makes an empty value of one that is nil, as tables have it.
func nonNil(all [][]byte) [][]byte {
	for i := range all {
		if len(all[i]) == 0 {
			all[i] = nil
		}
	}
	return all
}

func TestLists(t *testing.T) {
	asked := append(field(nil, hostField, []byte("here")), ask(listServices, "")...)
	q, err := parse(asked)
	require.NoError(t, err)
	a := library(t).answer(asked, q)
	require.Equal(t, "here", string(values(t, a, 1)[0]))
	var got []string
	for _, s := range values(t, values(t, a, 6)[0], 1) {
		got = append(got, string(values(t, s, 1)[0]))
	}
	require.Equal(t, []string{"a.S", "a.T"}, got)

	asked = ask(extensionNumbers, "a.In")
	q, err = parse(asked)
	require.NoError(t, err)
	r := values(t, library(t).answer(asked, q), 5)[0]
	require.Equal(t, "a.In", string(values(t, r, 1)[0]))
	numbers := values(t, r, 2)[0]
	slices.Sort(numbers)
	require.Equal(t, []byte{100, 101}, numbers, "packed varints below 128 are bytes")
}

func TestRegister(t *testing.T) {
	srv := stream.NewServer(stream.Config{})
	require.NoError(t, Register(srv, file(t), timestamppb.File_google_protobuf_timestamp_proto))
	require.ErrorIs(t, Register(srv, file(t)), stream.ErrDuplicate)

	// Another file that declares the same.
	p := protodesc.ToFileDescriptorProto(file(t))
	p.Name = proto.String("b.proto")
	b, err := protodesc.NewFile(p, protoregistry.GlobalFiles)
	require.NoError(t, err)
	require.ErrorContains(t, Register(stream.NewServer(stream.Config{}), file(t), b), "name conflict")
}

// FuzzParse: whatever a client sends is a question or an error, and what is
// answered to it is a message that contains it.
func FuzzParse(f *testing.F) {
	b := library(f)
	f.Add(ask(fileOfSymbol, "a.S"))
	f.Add(ask(fileOfExtension, extension("a.In", 100)))
	f.Add(append(field(nil, hostField, []byte("h")), ask(listServices, "")...))
	f.Add([]byte{0x0b, 0x0c}) // a group
	f.Fuzz(func(t *testing.T, p []byte) {
		q, err := parse(p)
		if err != nil {
			require.ErrorIs(t, err, errMalformed)
			return
		}
		again := values(t, b.answer(p, q), 2)
		require.Len(t, again, 1)
		require.Equal(t, string(p), string(again[0]))
	})
}
