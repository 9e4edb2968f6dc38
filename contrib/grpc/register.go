package grpc

import (
	"context"
	"fmt"
	"reflect"

	"google.golang.org/grpc"

	"github.com/weir-go/weir/stream"
)

// service is what RegisterService was given.
type service struct {
	methods  []grpc.MethodInfo
	metadata any
}

// method is one method of a service; what all its calls share.
type method struct {
	srv                          *Server
	impl                         any
	clientStreams, serverStreams bool

	// One of the two.
	unary   func(srv any, ctx context.Context, dec func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error)
	handler grpc.StreamHandler
}

// RegisterService registers what protoc-gen-go-grpc has generated; generated
// code calls it. It panics when impl does not implement the service, or the
// service is registered already: faults of the program, which grpc-go's server
// ends the process for.
func (s *Server) RegisterService(desc *grpc.ServiceDesc, impl any) {
	if impl != nil && desc.HandlerType != nil {
		want, have := reflect.TypeOf(desc.HandlerType).Elem(), reflect.TypeOf(impl)
		if !have.Implements(want) {
			panic(fmt.Sprintf("grpc: %v does not implement %v", have, want))
		}
	}
	if s.services[desc.ServiceName] != nil {
		panic(fmt.Sprintf("grpc: service %q is registered already", desc.ServiceName))
	}
	info := &service{metadata: desc.Metadata}
	s.services[desc.ServiceName] = info
	for i := range desc.Methods {
		d := &desc.Methods[i]
		s.register(desc, info, d.MethodName, &method{srv: s, impl: impl, unary: d.Handler})
	}
	for i := range desc.Streams {
		d := &desc.Streams[i]
		s.register(desc, info, d.StreamName, &method{srv: s, impl: impl, handler: d.Handler,
			clientStreams: d.ClientStreams, serverStreams: d.ServerStreams})
	}
}

// register gives a method to package stream. One whose client sends a single
// request waits for it without a goroutine.
func (s *Server) register(desc *grpc.ServiceDesc, info *service, name string, m *method) {
	path := "/" + desc.ServiceName + "/" + name
	o := s.cfg.Methods[path]
	how := stream.Method{Go: m.serve, Await: !m.clientStreams, Brief: m.unary != nil, Twin: o.Twin, Vital: o.Vital,
		Limits: o.Limits}
	if m.unary != nil && s.cfg.Inline != nil && s.cfg.Inline(path) {
		how.Go, how.Unary = nil, m.serveInline
	}
	if err := s.core.Handle(path, how); err != nil {
		panic(fmt.Sprintf("grpc: %s: %v", path, err))
	}
	s.methods[path] = known{unary: m.unary != nil, clientStreaming: m.clientStreams && !m.serverStreams}
	info.methods = append(info.methods,
		grpc.MethodInfo{Name: name, IsClientStream: m.clientStreams, IsServerStream: m.serverStreams})
}

// GetServiceInfo returns what is registered, for package reflection.
func (s *Server) GetServiceInfo() map[string]grpc.ServiceInfo {
	all := make(map[string]grpc.ServiceInfo, len(s.services))
	for name, info := range s.services {
		all[name] = grpc.ServiceInfo{Methods: append([]grpc.MethodInfo(nil), info.methods...), Metadata: info.metadata}
	}
	return all
}
