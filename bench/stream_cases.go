package main

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/weir-go/weir/bench/internal/h2c"
	"github.com/weir-go/weir/bench/internal/line"
	"github.com/weir-go/weir/bench/internal/report"
)

// bidiShape is a load of echoes on 100 streams.
type bidiShape struct{ conns, size int }

func (s bidiShape) id() string { return fmt.Sprintf("bidi-%dx%d", s.conns, s.size) }

const bidiStreams = 100

func connections(n int) string {
	if n == 1 {
		return "1 connection"
	}
	return fmt.Sprintf("%d connections", n)
}

var bidiShapes = []bidiShape{{1, 64}, {10, 64}, {1, 1024}, {10, 1024}}

var bidiRivals = []string{"grpc-go", "grpc-workers"}

// streamBidi is messages back and forth, one under way on each stream.
func streamBidi(b *bench, commands map[string]string) error {
	raw := talkTo("raw", bidiPath, "streams")
	raw.raw = true
	all := b.talkers(commands, talkTo("grpc-go", bidiPath, "grpcgo"), talkTo("grpc-workers", bidiPath, "grpcgo", "-workers", "16"),
		talkTo("generated", bidiPath, "weirgrpc"), talkTo("callback", callbackPath, "weirgrpc"), raw)
	shapes := bidiShapes
	if b.quick {
		shapes = shapes[1:2]
	}
	for _, s := range shapes {
		b.names[s.id()] = fmt.Sprintf("Both sides: %d streams on %s, %d B", bidiStreams, connections(s.conns), s.size)
		j := b.ourJob(h2c.Echo, s.conns, bidiStreams, s.size)
		err := b.of(s.id(), all, b.rounds, "cpu_per_message", bidiRivals, func(t talked) (*figures, error) {
			return b.talk(t, j, -1, "cpu_per_message")
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// streamUnary is calls, ten under way on each of ten connections.
func streamUnary(b *bench, commands map[string]string) error {
	raw := talkTo("raw", unaryPath, "streams")
	raw.raw = true
	all := b.talkers(commands, talkTo("grpc-go", unaryPath, "grpcgo"), talkTo("grpc-workers", unaryPath, "grpcgo", "-workers", "16"),
		talkTo("generated", unaryPath, "weirgrpc"), talkTo("inline", unaryPath, "weirgrpc", "-inline"), raw)
	b.names["unary"] = "Calls: 10 connections × 10, 64 B"
	j := b.ourJob(h2c.Unary, 10, 100, 64)
	return b.of("unary", all, b.rounds, "cpu_per_message", bidiRivals, func(t talked) (*figures, error) {
		return b.talk(t, j, -1, "cpu_per_message")
	})
}

const (
	fanConns = 16
	slowOne  = 100 // of so many subscribers one never reads
	fanRate  = 50_000
)

var (
	fanSizes  = []int{1000, 10_000}
	fanRivals = []string{"grpc-chan", "grpc-prep", "grpc-direct"}
)

// fans are the servers that publish. Of a Topic's subscribers one in a hundred is slow, and as a control none.
func (b *bench) fans(commands map[string]string) []talked {
	all := b.talkers(commands,
		talkTo("grpc-chan", subscribePath, "grpcgo", "-pattern", "chan"),
		talkTo("grpc-prep", subscribePath, "grpcgo", "-pattern", "prep"),
		talkTo("grpc-direct", subscribePath, "grpcgo", "-pattern", "direct"),
		talkTo("topic", subscribePath, "streams"), talkTo("topic-alone", subscribePath, "streams"))
	for i := range all {
		all[i].slow = all[i].id != "topic-alone"
	}
	return all
}

func fanID(n int) string   { return "fanout-" + strconv.Itoa(n) }
func pacedID(n int) string { return "paced-" + strconv.Itoa(n) }

func (b *bench) fanSizes() []int {
	if b.quick {
		return fanSizes[:1]
	}
	return fanSizes
}

// streamFanout publishes as fast as it goes: the publisher waits for those that read, and they lose nothing.
func streamFanout(b *bench, commands map[string]string) error {
	for _, n := range b.fanSizes() {
		b.names[fanID(n)] = fmt.Sprintf("Fan-out to %s, 64 B, %d connections, as fast as it goes", report.Number(float64(n)), fanConns)
		j := b.ourJob(h2c.Listen, fanConns, n, 64)
		if err := b.fan(fanID(n), b.fans(commands), j, 0); err != nil {
			return err
		}
	}
	return nil
}

// streamPaced publishes at a rate that everybody can take. Nobody waits for anybody then, where the pattern lets it.
func streamPaced(b *bench, commands map[string]string) error {
	for _, n := range b.fanSizes() {
		b.names[pacedID(n)] = fmt.Sprintf("Fan-out to %s, 64 B, %d connections, %s deliveries a second",
			report.Number(float64(n)), fanConns, report.Number(fanRate))
		j := b.ourJob(h2c.Listen, fanConns, n, 64)
		if !b.quick { // a window has 5 messages a second only
			j.Window, j.Warm = 2*j.Window, 2*j.Warm
		}
		if err := b.fan(pacedID(n), b.fans(commands), j, fanRate/n); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) fan(name string, all []talked, j talkJob, rate int) error {
	return b.of(name, all, b.rounds, "cpu_per_delivery", fanRivals, func(t talked) (*figures, error) {
		j := j
		if t.slow {
			j.Slow = slowOne
		}
		j.Lossy = rate > 0 && t.command[0] == b.self // a Topic's own default
		return b.talk(t, j, rate, "cpu_per_delivery")
	})
}

// streamIdle is what a subscribed stream weighs that has had one message.
func streamIdle(b *bench, commands map[string]string) error {
	n, rounds := 50_000, min(b.rounds, 3)
	if b.quick {
		n, rounds = 5000, 1
	}
	b.names["streams"] = fmt.Sprintf("Idle: %s subscribed streams on %d connections, after one message each", report.Number(float64(n)), fanConns)
	all := b.talkers(commands, talkTo("grpc-chan", subscribePath, "grpcgo"), talkTo("topic", subscribePath, "streams"))
	return b.of("streams", all, rounds, "memory_per_stream", fanRivals[:1], func(t talked) (*figures, error) {
		return b.weigh(t, b.ourJob(h2c.Listen, fanConns, n, 64), "memory_per_stream", n)
	})
}

// streamConns is what a connection weighs that has said hello.
func streamConns(b *bench, commands map[string]string) error {
	n, rounds := 5000, min(b.rounds, 3)
	if b.quick {
		n, rounds = 500, 1
	}
	n = min(n, descriptors())
	b.names["conns"] = fmt.Sprintf("Idle: %s connections without streams", report.Number(float64(n)))
	all := b.talkers(commands, talkTo("grpc-go", subscribePath, "grpcgo"), talkTo("raw", subscribePath, "streams"))
	return b.of("conns", all, rounds, "memory_per_connection", bidiRivals, func(t talked) (*figures, error) {
		return b.weigh(t, b.ourJob(h2c.Idle, n, 0, 64), "memory_per_connection", n)
	})
}

// weigh is one measurement of memory. A small load comes first, so that the code itself is in memory before.
func (b *bench) weigh(t talked, j talkJob, per string, n int) (f *figures, err error) {
	srv, err := b.start(t.subject, b.onOneCore())
	if err != nil {
		return nil, err
	}
	defer stop(srv.Proc, &err)
	j.Addr, j.Server, j.Path = srv.addr, srv.PID(), t.path
	small := j
	small.Mode, small.Conns, small.Streams = h2c.Listen, fanConns, 10*fanConns
	first, err := b.load1(srv, small)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(first.Stop(patience), srv.subscribed(0)); err != nil {
		return nil, err
	}
	before, err := srv.resident()
	if err != nil {
		b.note("no memory figures: %v", err)
		return nil, nil
	}
	j.From = 1
	drv, err := b.load1(srv, j)
	if err != nil {
		return nil, err
	}
	defer stop(drv.Proc, &err)
	after, err := srv.resident()
	if err != nil {
		return nil, err
	}
	f = &figures{values: map[string]float64{per: float64(after-before) / float64(n), "memory": float64(after) / 1e6}}
	if n, ok, err := srv.number(line.Goroutines); err != nil {
		return nil, err
	} else if ok {
		f.values["goroutines"] = n
	}
	return f, nil
}

// load1 opens a driver's streams and lets them have one message.
func (b *bench) load1(srv *server, j talkJob) (*talker, error) {
	drv, err := b.openTalk(j)
	if err != nil {
		return nil, err
	}
	err = srv.subscribed(j.Streams)
	last := "0"
	if err == nil && j.Mode == h2c.Listen {
		_, err = srv.can("push")
		if err == nil {
			last, err = srv.Ask("hush", patience)
		}
	}
	if err == nil {
		err = drv.settle(last)
	}
	if err != nil {
		return nil, errors.Join(err, drv.Stop(patience))
	}
	return drv, nil
}
