package grpc

import (
	"net"
	"strings"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/stream"
)

// incoming returns a request's metadata as grpc-go shows it: with :authority
// and content-type among the others. It is the caller's.
func incoming(st *stream.Stream) metadata.MD {
	h := st.Header()
	md := make(metadata.MD, len(h)+2)
	for _, p := range h {
		if p.Key == "host" {
			continue // :authority stands for it
		}
		md[p.Key] = append(md[p.Key], p.Value)
	}
	md[":authority"] = []string{st.Authority()}
	md["content-type"] = []string{st.ContentType()}
	return md
}

// outgoing is metadata as package stream takes it. Keys that are the protocol's
// are left out, as grpc-go does: what a server has received may be sent on as it
// is. Blanks around a value mean nothing to gRPC, and HTTP/2 forbids them.
func outgoing(md metadata.MD) stream.Metadata {
	if len(md) == 0 {
		return nil
	}
	out := make(stream.Metadata, 0, len(md))
	for k, values := range md {
		if k = strings.ToLower(k); reserved(k) {
			continue
		}
		binary := strings.HasSuffix(k, "-bin")
		for _, v := range values {
			if !binary {
				v = strings.Trim(v, " ")
			}
			out = append(out, stream.Pair{Key: k, Value: v})
		}
	}
	return out
}

func reserved(key string) bool {
	switch key {
	case "content-type", "user-agent", "te", "grpc-message-type", "grpc-encoding", "grpc-accept-encoding", "grpc-message",
		"grpc-status", "grpc-timeout", "grpc-status-details-bin",
		"host", "content-length", "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
		return true
	}
	return key == "" || key[0] == ':'
}

// peerOf says who calls.
func peerOf(st *stream.Stream) *peer.Peer {
	s := st.Session()
	p := &peer.Peer{Addr: addr(s.Remote()), LocalAddr: addr(s.Local())}
	p.AuthInfo, _ = s.AuthInfo().(credentials.AuthInfo)
	return p
}

func addr(a conn.Addr) net.Addr {
	if a.IP.IsValid() {
		return net.TCPAddrFromAddrPort(a.IP)
	}
	return &net.UnixAddr{Net: "unix", Name: a.Path}
}
