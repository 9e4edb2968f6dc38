// Package proxyproto reads what a proxy says about the client it speaks for,
// before the client's first byte: the PROXY protocol of HAProxy, versions 1
// (a line) and 2 (binary).
//
//	client ──► proxy ──► PROXY TCP4 203.0.113.7 10.0.0.1 51234 443\r\n, bytes ──► Serve ──► Header, bytes ──► your handler
//
// Whoever can connect can say so, too. So only proxies that are known by their
// address are listened to, and they must say it; a header has a length and a
// time that it must come in.
//
// Source: "The PROXY protocol, versions 1 & 2", haproxy.org, doc/proxy-protocol.txt.
package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"
)

// Header is what a proxy says.
type Header struct {
	// Source is the client's address and Destination the one that it has
	// connected to. Zero when the proxy speaks for itself (health checks), or
	// does not know, or for families other than TCP over IP.
	Source, Destination netip.AddrPort

	Version int // 1 or 2; 0 when there was no header to be read
}

// ErrHeader is what bytes are refused with that are no header.
var ErrHeader = errors.New("proxyproto: not a PROXY header")

const (
	maxLine   = 107     // bytes of a header of version 1 with its end (2.1 of the source)
	maxBinary = 2 << 10 // bytes of one of version 2 that are accepted: addresses are 216 at most, the rest is skipped
)

var (
	linePrefix = []byte("PROXY ")
	signature  = []byte("\r\n\r\n\x00\r\nQUIT\n")
)

// Parse reads a header at the beginning of p and returns how many bytes it has; 0
// when p ends within what may become one. It keeps nothing of p.
func Parse(p []byte) (h Header, n int, err error) {
	switch {
	case startsLike(p, signature):
		return parseBinary(p)
	case startsLike(p, linePrefix):
		return parseLine(p)
	}
	return h, 0, ErrHeader
}

// startsLike reports whether p begins with prefix, as far as there is any of it.
func startsLike(p, prefix []byte) bool {
	n := min(len(p), len(prefix))
	return bytes.Equal(p[:n], prefix[:n])
}

func parseLine(p []byte) (h Header, n int, err error) {
	end := bytes.Index(p[:min(len(p), maxLine)], []byte("\r\n"))
	if end < 0 {
		if len(p) >= maxLine {
			return h, 0, ErrHeader
		}
		return h, 0, nil
	}
	words := bytes.Split(p[len(linePrefix):end], []byte(" "))
	h.Version = 1
	if string(words[0]) == "UNKNOWN" { // what follows is to be ignored
		return h, end + 2, nil
	}
	four := string(words[0]) == "TCP4"
	if len(words) != 5 || !four && string(words[0]) != "TCP6" {
		return Header{}, 0, ErrHeader
	}
	source, ok1 := addrPort(words[1], words[3], four)
	destination, ok2 := addrPort(words[2], words[4], four)
	if !ok1 || !ok2 {
		return Header{}, 0, ErrHeader
	}
	h.Source, h.Destination = source, destination
	return h, end + 2, nil
}

func addrPort(host, port []byte, four bool) (netip.AddrPort, bool) {
	addr, err := netip.ParseAddr(string(host))
	if err != nil || addr.Is4() != four || addr.Zone() != "" {
		return netip.AddrPort{}, false
	}
	n, err := strconv.ParseUint(string(port), 10, 16)
	if err != nil || strconv.FormatUint(n, 10) != string(port) { // no sign, no zeros in front
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(addr, uint16(n)), true
}

// Of version 2: command and version, family and transport, length, addresses.
const (
	fixed  = 16
	local  = 0x20
	proxy  = 0x21
	tcp4   = 0x11
	tcp6   = 0x21
	bytes4 = 4 + 4 + 2 + 2
	bytes6 = 16 + 16 + 2 + 2
)

func parseBinary(p []byte) (h Header, n int, err error) {
	if len(p) > len(signature) && p[12] != local && p[12] != proxy {
		return h, 0, ErrHeader
	}
	if len(p) < fixed {
		return h, 0, nil
	}
	n = fixed + int(binary.BigEndian.Uint16(p[14:]))
	if n > maxBinary {
		return h, 0, ErrHeader
	}
	if len(p) < n {
		return h, 0, nil
	}
	h.Version = 2
	body := p[fixed:n]
	switch {
	case p[12] == local:
	case p[13] == tcp4 && len(body) >= bytes4:
		h.Source = netip.AddrPortFrom(netip.AddrFrom4([4]byte(body[0:])), binary.BigEndian.Uint16(body[8:]))
		h.Destination = netip.AddrPortFrom(netip.AddrFrom4([4]byte(body[4:])), binary.BigEndian.Uint16(body[10:]))
	case p[13] == tcp6 && len(body) >= bytes6:
		h.Source = netip.AddrPortFrom(netip.AddrFrom16([16]byte(body[0:])), binary.BigEndian.Uint16(body[32:]))
		h.Destination = netip.AddrPortFrom(netip.AddrFrom16([16]byte(body[16:])), binary.BigEndian.Uint16(body[34:]))
	case p[13] == tcp4, p[13] == tcp6:
		return Header{}, 0, ErrHeader // too short for its addresses
	}
	return h, n, nil
}
