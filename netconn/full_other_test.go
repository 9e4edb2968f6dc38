//go:build !linux

package netconn_test

import "testing"

// full needs a kernel that is silent when a backlog is full.
func full(t testing.TB, address string) string {
	t.Skip("a full backlog hangs a connect only on Linux")
	return ""
}
