// Package judges has no code: its tests let others judge Weir's gRPC, each in its
// own process and pinned by go.mod, ghz/go.mod, or js/package-lock.json:
//
//	h2spec                    HTTP/2, frame by frame       cmd/echo -grpc
//	nghttp, h2load            HTTP/2 of another library    cmd/echo -grpc
//	grpcurl                   reflection, all call types   cmd/echo -grpc
//	grpc-js                   gRPC in another language     cmd/echo -grpc
//	ghz                       nothing is lost under load   cmd/echo -grpc
//	grpc-go's interop client  gRPC's own list of cases     contrib/grpc, plain and TLS
//	and its stress client     the same, many at once       contrib/grpc
//
// They run with make test. What can't be had (npm, nghttp2-client, a module
// proxy) is skipped and says so, unless WEIR_JUDGES is "all": then it fails.
package judges
