package grpc

import (
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// Which messages may be read as which others.
func TestClash(t *testing.T) {
	text := `name: "clash.proto" syntax: "proto3" `
	for name, fields := range map[string]string{
		"Text":    `name: "a" type: TYPE_STRING label: LABEL_OPTIONAL`,
		"Bytes":   `name: "b" type: TYPE_BYTES label: LABEL_OPTIONAL`,
		"Int":     `name: "c" type: TYPE_INT32 label: LABEL_OPTIONAL`,
		"Bool":    `name: "d" type: TYPE_BOOL label: LABEL_OPTIONAL`,
		"Zig":     `name: "e" type: TYPE_SINT32 label: LABEL_OPTIONAL`,
		"Texts":   `name: "f" type: TYPE_STRING label: LABEL_REPEATED`,
		"HasText": `name: "g" type: TYPE_MESSAGE label: LABEL_OPTIONAL type_name: ".Text"`,
		"HasInt":  `name: "h" type: TYPE_MESSAGE label: LABEL_OPTIONAL type_name: ".Int"`,
		"HasBool": `name: "i" type: TYPE_MESSAGE label: LABEL_OPTIONAL type_name: ".Bool"`,
		"Chain":   `name: "j" type: TYPE_MESSAGE label: LABEL_OPTIONAL type_name: ".Chain"`,
		"Link":    `name: "k" type: TYPE_MESSAGE label: LABEL_OPTIONAL type_name: ".Link"`,
	} {
		text += `message_type { name: "` + name + `" field { number: 1 ` + fields + ` } } `
	}
	file := new(descriptorpb.FileDescriptorProto)
	if err := prototext.Unmarshal([]byte(text+`message_type { name: "Empty" }`), file); err != nil {
		t.Fatal(err)
	}
	d, err := protodesc.NewFile(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		a, b string
		fits bool
	}{
		{"Text", "Text", true}, {"Text", "Bytes", true}, {"Text", "Empty", true}, {"Text", "Int", false}, {"Text", "Texts", false},
		{"Int", "Bool", true}, {"Int", "Zig", false}, {"Int", "HasInt", false},
		{"HasInt", "HasBool", true}, {"HasInt", "HasText", false}, {"HasText", "Text", false},
		{"Chain", "Link", true}, {"Chain", "HasText", false},
	} {
		for _, pair := range [][2]string{{c.a, c.b}, {c.b, c.a}} {
			a, b := d.Messages().ByName(protoreflect.Name(pair[0])), d.Messages().ByName(protoreflect.Name(pair[1]))
			if f := clash(a, b, make(map[[2]protoreflect.FullName]bool)); (f == nil) != c.fits {
				t.Errorf("%s as %s: %v", pair[0], pair[1], f)
			}
		}
	}
}
