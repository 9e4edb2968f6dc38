//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package sock

import (
	"syscall"
	"testing"
)

// One message through a socket pair and out again, there by this package and
// by package syscall.
func BenchmarkSendRecv(b *testing.B) {
	benchmark(b, func(fd int, p []byte) { Send(fd, p) }, func(fd int, p []byte) { Recv(fd, p) })
}

func BenchmarkSyscallWriteRead(b *testing.B) {
	benchmark(b, func(fd int, p []byte) { syscall.Write(fd, p) }, func(fd int, p []byte) { syscall.Read(fd, p) })
}

func BenchmarkSendvRecv(b *testing.B) {
	var iov [4]Iovec
	benchmark(b, func(fd int, p []byte) {
		for i := range iov {
			iov[i].Set(p[i*len(p)/4 : (i+1)*len(p)/4])
		}
		Sendv(fd, iov[:])
	}, func(fd int, p []byte) { Recv(fd, p) })
}

func benchmark(b *testing.B, send, recv func(int, []byte)) {
	x, y := pairing(b)
	p, q := make([]byte, 64), make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		send(x, p)
		recv(y, q)
	}
}

func BenchmarkRecvEAGAIN(b *testing.B) {
	x, _ := pairing(b)
	p := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		Recv(x, p)
	}
}

func BenchmarkSyscallReadEAGAIN(b *testing.B) {
	x, _ := pairing(b)
	p := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		syscall.Read(x, p)
	}
}
