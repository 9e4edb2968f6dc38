// Package echopb is echo.proto, generated. With protoc, its libprotobuf-dev, and
// the protoc-gen-go of go.mod's google.golang.org/protobuf on the PATH, go
// generate makes it anew.
package echopb

// From the module's root, so that the file is registered under a name of its own.
//go:generate protoc -I ../../.. --go_out=paths=source_relative:../../.. internal/echo/echopb/echo.proto
