package rpc

import (
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// healthFile describes the service to clients that ask. It is not registered
// with package protobuf: a program that has grpc-go's would end at its start.
func healthFile() (protoreflect.FileDescriptor, error) {
	var f descriptorpb.FileDescriptorProto
	if err := prototext.Unmarshal([]byte(healthProto), &f); err != nil {
		return nil, err
	}
	return protodesc.NewFile(&f, new(protoregistry.Files))
}

const healthProto = `
name: "grpc/health/v1/health.proto" package: "grpc.health.v1" syntax: "proto3"
message_type {
  name: "HealthCheckRequest"
  field { name: "service" json_name: "service" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
}
message_type {
  name: "HealthCheckResponse"
  field {
    name: "status" json_name: "status" number: 1 label: LABEL_OPTIONAL
    type: TYPE_ENUM type_name: ".grpc.health.v1.HealthCheckResponse.ServingStatus"
  }
  enum_type {
    name: "ServingStatus"
    value { name: "UNKNOWN" number: 0 }
    value { name: "SERVING" number: 1 }
    value { name: "NOT_SERVING" number: 2 }
    value { name: "SERVICE_UNKNOWN" number: 3 }
  }
}
message_type { name: "HealthListRequest" }
message_type {
  name: "HealthListResponse"
  field {
    name: "statuses" json_name: "statuses" number: 1 label: LABEL_REPEATED
    type: TYPE_MESSAGE type_name: ".grpc.health.v1.HealthListResponse.StatusesEntry"
  }
  nested_type {
    name: "StatusesEntry" options { map_entry: true }
    field { name: "key" json_name: "key" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
    field {
      name: "value" json_name: "value" number: 2 label: LABEL_OPTIONAL
      type: TYPE_MESSAGE type_name: ".grpc.health.v1.HealthCheckResponse"
    }
  }
}
service {
  name: "Health"
  method {
    name: "Check"
    input_type: ".grpc.health.v1.HealthCheckRequest" output_type: ".grpc.health.v1.HealthCheckResponse"
  }
  method {
    name: "List"
    input_type: ".grpc.health.v1.HealthListRequest" output_type: ".grpc.health.v1.HealthListResponse"
  }
  method {
    name: "Watch" server_streaming: true
    input_type: ".grpc.health.v1.HealthCheckRequest" output_type: ".grpc.health.v1.HealthCheckResponse"
  }
}`
