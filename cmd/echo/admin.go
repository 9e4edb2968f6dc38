package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/health/healthhttp"
	"github.com/weir-go/weir/internal/echo"
	"github.com/weir-go/weir/internal/echo/rpc"
	"github.com/weir-go/weir/metrics"
	"github.com/weir-go/weir/netconn"
	"github.com/weir-go/weir/stream"
)

// admin is a web server for people and machines that look after the echo
// server: net/http, unchanged, on a small runtime of its own. So it shows up in
// none of the figures, and answers while the server drains.
type admin struct {
	url  string
	rt   *conn.Runtime
	http http.Server
}

// serveAdmin starts it, unless at is empty.
func serveAdmin(ctx context.Context, at string, p *program, face string) (*admin, error) {
	a := &admin{}
	if at == "" {
		return a, nil
	}
	addr, err := resolve(ctx, at)
	if err != nil {
		return nil, err
	}
	if a.rt, err = conn.Start(conn.Config{Loops: 1}); err != nil {
		return nil, err
	}
	l, err := listenAdmin(a.rt, p, addr)
	if err != nil {
		a.rt.Close()
		return nil, listenAdvice("admin", addr, err)
	}
	a.url = url(addr)
	if tcp, ok := l.Addr().(*net.TCPAddr); ok {
		a.url = "http://" + reachable(conn.TCP(tcp.AddrPort())).String()
	}
	a.http.Handler = pages(p, face)
	a.http.ReadHeaderTimeout = 10 * time.Second
	go a.http.Serve(l) // until close
	return a, nil
}

// listenAdmin listens on the socket that there is, or on a new one.
func listenAdmin(rt *conn.Runtime, p *program, addr conn.Addr) (l *netconn.Listener, err error) {
	if len(p.admin) > 0 {
		l, err = netconn.ListenConfig{}.Adopt(rt, p.admin[0])
	} else {
		l, err = netconn.Listen(rt, addr)
	}
	if err == nil {
		err = p.sockets.Keep("admin", addr, l)
	}
	return l, err
}

func (a *admin) close() {
	if a.rt != nil {
		a.http.Close()
		a.rt.Close()
	}
}

// pages is what there is to see.
func pages(p *program, face string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "echo, %s face\n\n/healthz\n/readyz\n/metrics\n/stats\n/debug/pprof/\n", face)
	})
	mux.Handle("GET /healthz", healthhttp.Live(p.health))
	mux.Handle("GET /readyz", healthhttp.Ready(p.health))
	mux.Handle("GET /metrics", figures(p))
	mux.HandleFunc("GET /stats", stats(p.server, face, time.Now()))
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// figures is the page for Prometheus: the process, the server's runtime (std has
// none), and what a restart is watched by.
func figures(p *program) http.Handler {
	well, sockets := metrics.NewHealth(p.health), metrics.NewRestart(p.sockets)
	if rt := p.Runtime(); rt != nil {
		return metrics.Handler(metrics.NewRuntime("echo", rt), well, sockets)
	}
	return metrics.Handler(well, sockets)
}

// stats answers with everything there is to know, as JSON.
func stats(s server, face string, began time.Time) http.HandlerFunc {
	type answer struct {
		Face    string
		Listen  string
		Uptime  float64 // seconds
		Open    int     // connections now
		Totals  echo.Totals
		Runtime *conn.Stats `json:",omitempty"` // std has none

		// Of -grpc.
		Streams *stream.Stats      `json:",omitempty"`
		Clock   *stream.TopicStats `json:",omitempty"`
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		a := answer{
			Face: face, Listen: url(s.Addr()), Uptime: time.Since(began).Seconds(),
			Open: s.Open(), Totals: s.Totals(),
		}
		if rt := s.Runtime(); rt != nil {
			all := rt.Stats()
			a.Runtime = &all
		}
		if g, ok := s.(*rpc.Server); ok {
			streams, clock := g.Streams(), g.Ticks()
			a.Streams, a.Clock = &streams, &clock
		}
		w.Header().Set("Content-Type", "application/json")
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.Encode(a) // fails only when the asker has gone
	}
}
