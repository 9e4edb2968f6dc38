package netconn_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// zone is what the name server of a test knows.
type zone map[string]record

type record struct {
	addrs  []string
	silent dnsmessage.Type // questions of this type are answered when until is closed
	until  chan struct{}   // nil: at the test's end
}

// resolver returns a net.Resolver that asks a name server on loopback.
func resolver(t testing.TB, z zone) *net.Resolver {
	t.Helper()
	socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
	ok(t, err)
	var server, answers tasks
	end := make(chan struct{})
	server.do(func() error {
		p := make([]byte, 512)
		for {
			n, from, err := socket.ReadFrom(p)
			if err != nil {
				return nil
			}
			query := append([]byte(nil), p[:n]...)
			answers.do(func() error {
				if reply := z.answer(query, end); reply != nil {
					socket.WriteTo(reply, from)
				}
				return nil
			})
		}
	})
	t.Cleanup(func() {
		socket.SetReadDeadline(past) // no more questions
		server.wait(t)
		close(end) // the resolver waits for an answer even when nobody waits for it
		answers.wait(t)
		socket.Close()
	})
	return &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "udp4", socket.LocalAddr().String())
		},
	}
}

// answer makes the reply to a query; nil: none.
func (z zone) answer(query []byte, end chan struct{}) []byte {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	r, found := z[strings.TrimSuffix(q.Name.String(), ".")]
	if r.silent == q.Type {
		select {
		case <-r.until:
		case <-end:
		}
	}
	m.Response, m.RecursionAvailable = true, true
	m.Additionals = nil
	if !found {
		m.RCode = dnsmessage.RCodeNameError
	}
	for _, s := range r.addrs {
		ip := netip.MustParseAddr(s)
		var body dnsmessage.ResourceBody
		switch {
		case q.Type == dnsmessage.TypeA && ip.Is4():
			body = &dnsmessage.AResource{A: ip.As4()}
		case q.Type == dnsmessage.TypeAAAA && ip.Is6():
			body = &dnsmessage.AAAAResource{AAAA: ip.As16()}
		default:
			continue
		}
		m.Answers = append(m.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 1},
			Body:   body,
		})
	}
	reply, err := m.Pack()
	if err != nil {
		return nil
	}
	return reply
}
