// Package interop is only its tests: stock software, unchanged, on Weir's
// connections. Its dependencies are its own, so that the module people import
// stays light.
//
//	grpc-go      server and client, both or one of them on netconn
//	go-redis     against a real redis-server, which the tests start
package interop
