package rpc

import (
	"slices"
	"sync/atomic"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/stream"
)

// The statuses of grpc.health.v1.
const (
	serving        = 1
	notServing     = 2
	serviceUnknown = 3
)

// health is the service grpc.health.v1.Health. All services are well until the
// server begins to end; then all are not, and watchers hear of it: a topic with
// two messages in its life, of which a watcher gets the present one first.
type health struct {
	known []string
	topic *stream.Topic
	now   atomic.Uint32
}

func newHealth(rt *conn.Runtime, services []string) *health {
	h := &health{known: append(slices.Clone(services), ""), topic: stream.NewTopic(rt, stream.TopicConfig{Name: "health"})}
	h.now.Store(serving)
	return h
}

// leave tells everybody that the server ends, and ends the watchers' streams
// when they have heard it.
func (h *health) leave() {
	h.now.Store(notServing)
	h.topic.Publish(statusMessage(notServing))
	h.topic.Close(stream.Statusf(stream.Unavailable, "the server ends"))
}

// check is Health.Check.
func (h *health) check(_ *stream.Stream, req []byte) ([]byte, error) {
	service, err := serviceOf(req)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(h.known, service) {
		return nil, stream.Statusf(stream.NotFound, "unknown service %q", service)
	}
	return statusMessage(h.now.Load()), nil
}

func (h *health) open(*stream.Stream) (stream.Handler, error) { return &watcher{health: h}, nil }

// watcher is a stream of Health.Watch.
type watcher struct {
	health *health
	asked  bool
}

func (w *watcher) Message(st *stream.Stream, m []byte) error {
	if w.asked {
		return errTwo
	}
	w.asked = true
	service, err := serviceOf(m)
	if err != nil {
		return err
	}
	if !slices.Contains(w.health.known, service) {
		// The stream stays open: for all that a client may know, the service
		// could be added later.
		return st.Emit(statusMessage(serviceUnknown))
	}
	_, err = w.health.topic.Subscribe(st, stream.SubOptions{Snapshot: w.health.snapshot})
	return err
}

// snapshot is what a watcher gets first. The number is read before the status:
// were it the other way round, a status could be passed over.
func (h *health) snapshot() ([]*stream.Message, uint64) {
	seq := h.topic.Seq()
	return []*stream.Message{stream.NewMessage(statusMessage(h.now.Load()))}, seq
}

func (w *watcher) HalfClosed(*stream.Stream) error {
	if !w.asked {
		return errNone
	}
	return nil
}

func (w *watcher) Closed(*stream.Stream, error) {}

// The messages have a field 1 each, a string and an enum: on the wire they are
// protobuf's own wrappers of a string and a number.

// serviceOf reads a HealthCheckRequest.
func serviceOf(req []byte) (string, error) {
	var m wrapperspb.StringValue
	err := decode(req, &m)
	return m.Value, err
}

// statusMessage is a HealthCheckResponse.
func statusMessage(status uint32) []byte {
	m, _ := proto.Marshal(wrapperspb.UInt32(status)) // fails for no number
	return m
}

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
service {
  name: "Health"
  method {
    name: "Check"
    input_type: ".grpc.health.v1.HealthCheckRequest" output_type: ".grpc.health.v1.HealthCheckResponse"
  }
  method {
    name: "Watch" server_streaming: true
    input_type: ".grpc.health.v1.HealthCheckRequest" output_type: ".grpc.health.v1.HealthCheckResponse"
  }
}`
