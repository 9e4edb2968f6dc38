//go:build unix && !linux

package poller

var kinds = []kind{{"plain", func(*Poller) {}}}
