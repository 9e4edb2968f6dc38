//go:build linux

package faults

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// proxy is a network that does to connections what networks do.
type proxy struct {
	ln  net.Listener
	to  string
	all sync.WaitGroup

	passed, reset, cut, slowed int // owned by run
}

func newProxy(to string) (*proxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	return &proxy{ln: ln, to: to}, err
}

// run passes connections on until ctx ends. Each has its own fate.
func (p *proxy) run(ctx context.Context) {
	defer context.AfterFunc(ctx, func() { p.ln.Close() })()
	for {
		near, err := p.ln.Accept()
		if err != nil {
			p.all.Wait()
			return
		}
		far, err := net.Dial("tcp", p.to)
		if err != nil {
			near.Close()
			continue
		}
		l := &link{near: near.(*net.TCPConn), far: far.(*net.TCPConn), size: 32 << 10}
		switch rand.IntN(6) {
		case 0:
			l.end, p.reset = l.resets, p.reset+1
		case 1:
			l.end, p.cut = l.cuts, p.cut+1
		case 2:
			l.size, l.pause, p.slowed = 200, 5*time.Millisecond, p.slowed+1
		default:
			p.passed++
		}
		p.all.Go(func() { l.run(ctx) })
	}
}

// link is one connection through the proxy.
type link struct {
	near, far *net.TCPConn
	size      int           // bytes that are passed on at once
	pause     time.Duration // after them
	end       func()        // what becomes of it in the middle; nil: nothing
}

func (l *link) run(ctx context.Context) {
	defer context.AfterFunc(ctx, l.close)()
	defer l.close()
	if l.end != nil {
		defer time.AfterFunc(rand.N(3*time.Second), l.end).Stop()
	}
	var both sync.WaitGroup
	both.Go(func() { l.pass(ctx, l.far, l.near) })
	both.Go(func() { l.pass(ctx, l.near, l.far) })
	both.Wait()
}

func (l *link) pass(ctx context.Context, to, from *net.TCPConn) {
	p := make([]byte, l.size)
	for {
		n, err := from.Read(p)
		if n > 0 {
			if _, err := to.Write(p[:n]); err != nil {
				break
			}
			if l.pause > 0 {
				wait(ctx, l.pause)
			}
		}
		if err != nil {
			break
		}
	}
	to.CloseWrite()
}

func (l *link) close() { l.near.Close(); l.far.Close() }

// resets ends both sides without a word.
func (l *link) resets() {
	l.near.SetLinger(0)
	l.far.SetLinger(0)
	l.close()
}

// cuts lets nothing of one direction pass any more; the other goes on for a while.
func (l *link) cuts() {
	if rand.IntN(2) == 0 {
		l.near.CloseRead()
	} else {
		l.far.CloseRead()
	}
	time.AfterFunc(rand.N(2*time.Second), l.resets)
}

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// rude are peers that do not keep to the protocol, or to anything.
var rude = []string{
	"",                       // says nothing
	"GET / HTTP/1.1\r\n\r\n", // speaks something else
	preface[:10],             // stops in the middle
	preface,                  // and at the end of the preface
	preface + "\xff\xff\xff", // a frame that is too large
	preface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x05\x01\x00\x00\x00\x00\x01\x82",             // a header that does not end
	preface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x04\x03\x00\x00\x00\x00\x09\x00\x00\x00\x08", // a stream that is not
	preface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00", // no window at all
}

// misbehave is one such peer after the other until ctx ends.
func misbehave(ctx context.Context, addr string) (n int) {
	for ; ctx.Err() == nil; n++ {
		nc, err := net.DialTimeout("tcp", addr, answers)
		if err != nil {
			wait(ctx, again)
			continue
		}
		stop := context.AfterFunc(ctx, func() { nc.Close() })
		text := rude[rand.IntN(len(rude))]
		if rand.IntN(4) == 0 {
			p := []byte(preface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00")
			for range 100 + rand.IntN(900) {
				p = append(p, byte(rand.Uint32()))
			}
			text = string(p)
		}
		io.WriteString(nc, text)
		if rand.IntN(3) == 0 {
			nc.(*net.TCPConn).SetLinger(0)
		} else if rand.IntN(2) == 0 {
			nc.SetReadDeadline(time.Now().Add(rand.N(2 * time.Second)))
			io.Copy(io.Discard, nc)
		} else {
			wait(ctx, rand.N(2*time.Second))
		}
		stop()
		nc.Close()
	}
	return n
}
