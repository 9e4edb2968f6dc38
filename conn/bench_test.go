package conn

import (
	"net"
	"testing"
	"time"

	"github.com/weir-go/weir/bounds"
)

// One ready connection: wait, read, Data, write.
func BenchmarkEchoTurn(b *testing.B) {
	_, turn := echoTurn(b, Options{}, funcs{})
	b.ReportAllocs()
	for b.Loop() {
		turn() // the peer's two system calls are in it
	}
}

// A Write from another goroutine than the loop's, which the kernel takes.
func BenchmarkWrite(b *testing.B) {
	r := newRig(b, Config{})
	c, peer := r.pair(Options{}, echoes)
	message, back := make([]byte, 64), make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(message); err != nil {
			b.Fatal(err)
		}
		peerHears(b, peer, back)
	}
}

// Sixteen Appends that leave in one send.
func BenchmarkAppend16(b *testing.B) {
	r := newRig(b, Config{})
	c, peer := r.pair(Options{}, echoes)
	message, back := make([]byte, 64), make([]byte, 16*64)
	b.ReportAllocs()
	for b.Loop() {
		for range 16 {
			c.Append(message)
		}
		r.l.turn(0)
		peerHears(b, peer, back)
	}
}

// A posted function and the turn that runs it.
func BenchmarkPostTurn(b *testing.B) {
	r := newRig(b, Config{})
	c, _ := r.pair(Options{}, echoes)
	b.ReportAllocs()
	for b.Loop() {
		c.Post(count)
		r.l.turn(0)
	}
}

// A message there and back over a blocking echo, with all wake-ups.
func BenchmarkBlockingPingPong(b *testing.B) {
	rt := running(b, Config{Loops: 1})
	serve, owners := echoBlocking()
	ln := listening(b, rt, serve)
	var here *Blocking
	if _, err := rt.Dial(b.Context(), ln.Addr(), func(c *Conn) Handler { here = c.Block(); return nil }); err != nil {
		b.Fatal(err)
	}
	message, back := make([]byte, 64), make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := here.Write(message); err != nil {
			b.Fatal(err)
		}
		if _, err := here.Read(back); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	here.Close()
	owners.Wait()
}

// A peer that connects, is accepted, and leaves; the peer is package net's. With
// bounds its descriptor is counted, with a guard the door asks about it, and of the
// world a first byte is expected.
func BenchmarkAcceptClose(b *testing.B) {
	b.Run("plain", func(b *testing.B) { acceptClose(b, Config{Loops: 1, Bounds: uncounted}, ListenConfig{}) })
	b.Run("bounds", func(b *testing.B) { acceptClose(b, Config{Loops: 1}, ListenConfig{}) })
	g, err := bounds.NewGuard(bounds.GuardConfig{Conns: 1 << 20, Rate: 1e8, Burst: 1 << 20, Accepts: 1e8, Crowd: 1 << 20})
	if err != nil {
		b.Fatal(err)
	}
	door := ListenConfig{Guard: g, Options: Options{FirstByte: worldFirstByte}}
	b.Run("guard", func(b *testing.B) { acceptClose(b, Config{Loops: 1, Bounds: uncounted}, door) })
}

func acceptClose(b *testing.B, cfg Config, lc ListenConfig) {
	closed := make(chan error, 1)
	rt := running(b, cfg)
	ln, err := lc.Listen(rt, loopback, func(*Conn) Handler { return funcs{closed: func(_ *Conn, err error) { closed <- err }} })
	if err != nil {
		b.Fatal(err)
	}
	at := ln.Addr().String()
	b.ReportAllocs()
	for b.Loop() {
		nc, err := net.Dial("tcp", at)
		if err != nil {
			b.Fatal(err)
		}
		nc.(*net.TCPConn).SetLinger(0) // no port may wait for two minutes
		nc.Close()
		<-closed
	}
}

// BenchmarkSetReadDeadline moves a deadline on, as a server does before each
// read.
func BenchmarkSetReadDeadline(b *testing.B) {
	r := newRig(b, Config{})
	var bl *Blocking
	r.pair(Options{}, func(c *Conn) Handler { bl = c.Block(); return nil })
	defer bl.Close()
	b.ReportAllocs()
	for b.Loop() {
		bl.SetReadDeadline(time.Now().Add(30 * time.Second))
	}
}

// A message that comes alone, every 3 ms: what it costs the process, its sender
// and the scheduler's monitor included.
func BenchmarkSparse(b *testing.B) {
	for name, keep := range map[string]bool{"holds": true, "parks": false} {
		b.Run(name, func(b *testing.B) {
			rt := running(b, Config{Loops: 1, KeepThread: keep})
			nc := dial(b, listening(b, rt, echoes).Addr())
			pace := time.NewTicker(3 * time.Millisecond)
			defer pace.Stop()
			turn := func() {
				<-pace.C
				mustAsk(b, nc, "hello")
			}
			for range 100 { // it finds out how much there is to do
				turn()
			}
			before, n := processTime(), 0
			for b.Loop() {
				turn()
				n++
			}
			b.ReportMetric(float64((processTime()-before).Microseconds())/float64(n), "cpu-us/op")
		})
	}
}
