package main

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weir-go/weir/bench/internal/h2c"
	"github.com/weir-go/weir/bench/internal/report"
)

//go:embed stream.txt
var streamProse string

// streamArea measures package stream, and contrib/grpc on it, against grpc-go: the same service, the same client.
var streamArea = &area{
	word:    "stream",
	what:    "gRPC over HTTP/2: streams of both sides, calls, fan-out, and what idle streams and connections weigh",
	cases:   []string{"bidi", "unary", "fanout", "paced", "streams", "conns", "frames"},
	measure: measureStream,
	metrics: []report.Metric{
		{Name: "cpu_per_message", Unit: "us", Title: "CPU µs/message", Ratio: report.RatioColumn},
		{Name: "cpu_per_delivery", Unit: "us", Title: "CPU µs/delivery", Ratio: report.RatioColumn},
		{Name: "rate", Unit: "msg/s", Title: "messages/s", Ratio: report.RatioRow},
		{Name: "p50", Unit: "us", Title: "p50 µs"},
		{Name: "p99", Unit: "us", Title: "p99 µs", Ratio: report.RatioColumn},
		{Name: "memory_per_stream", Unit: "B", Title: "B/stream", Ratio: report.RatioColumn},
		{Name: "memory_per_connection", Unit: "B", Title: "B/connection", Ratio: report.RatioColumn},
		{Name: "memory", Unit: "MB", Title: "MB in all"},
		{Name: "goroutines", Unit: "", Title: "goroutines"},
		{Name: "frame", Unit: "ns", Title: "ns/frame"},
		{Name: "allocs_per_frame", Unit: "", Title: "allocs/frame"},
		{Name: "server_cpu", Unit: "%", Title: "server %"},
		{Name: "driver_cpu", Unit: "%", Title: "driver %"},
		{Name: "steal", Unit: "%", Aside: true},
		{Name: "other_load", Unit: "%", Aside: true},
	},
	names: report.Names{
		"grpc-go": "grpc-go", "grpc-workers": "grpc-go, NumStreamWorkers(16)",
		"generated": "weir, generated code", "inline": "weir, generated code on the loop",
		"callback": "weir, callbacks and protobuf", "raw": "weir, callbacks on bytes",
		"grpc-chan": "grpc-go, a channel each", "grpc-prep": "grpc-go, a channel each, encoded once",
		"grpc-direct": "grpc-go, the publisher sends", "topic": "weir Topic", "topic-alone": "weir Topic, nobody slow",
		"data": "internal/h2",
	},
	tables: streamTables, pictures: streamPictures,
	prose:  streamProse,
	rounds: streamRounds,
	window: 1500 * time.Millisecond, quickWindow: 200 * time.Millisecond,
}

// streamRounds says what of a run has more than one window each.
func streamRounds(b *bench) string {
	return fmt.Sprintf("%d of %v each, after %v of load that is not counted; at 50,000 a second twice as long; memory %d",
		b.rounds, b.window, b.warm, min(b.rounds, 3))
}

// callbackPath is of the method that weirgrpc serves by callbacks.
const callbackPath = "/weir.Bench/Callback"

// talked is a subject of this area: a server, and which of its methods is called.
type talked struct {
	subject
	path string
	raw  bool
	slow bool // one subscriber in a hundred does not read
}

// Folders of bench/rivals.
var (
	grpcgoRival   = rival{id: "grpcgo", folder: "grpcgo"}
	weirgrpcRival = rival{id: "weirgrpc", folder: "weirgrpc"}
)

// measureStream runs the cases one after the other.
func measureStream(b *bench) error {
	if len(b.sources) > 0 {
		return errors.New("-source: no rival of this area takes one")
	}
	commands := map[string]string{"streams": b.self}
	if b.rivals {
		home, err := rivalsFolder()
		if err != nil {
			return err
		}
		for _, r := range []rival{grpcgoRival, weirgrpcRival} {
			if commands[r.id], err = b.build(home, r); err != nil {
				return err
			}
		}
	} else {
		b.note("package stream alone: grpc-go, generated code and protobuf are measured with -rivals")
	}
	for _, id := range b.subjects {
		if _, known := b.names[id]; !known {
			return fmt.Errorf("no subject is called %q", id)
		}
	}
	b.rounds = b.enough(3)
	for _, one := range []struct {
		name string
		run  func(*bench, map[string]string) error
	}{
		{"frames", streamFrames}, {"fanout", streamFanout}, {"paced", streamPaced}, {"bidi", streamBidi}, {"unary", streamUnary},
		{"streams", streamIdle}, {"conns", streamConns},
	} {
		if !b.wants(one.name) {
			continue
		}
		if err := one.run(b, commands); err != nil {
			return err
		}
	}
	return nil
}

// talkers are those of the subjects that take part: what the command line asks for, and can be built.
func (b *bench) talkers(commands map[string]string, all ...talked) []talked {
	var list []talked
	for _, t := range all {
		binary := commands[t.command[0]]
		if binary == "" || len(b.subjects) > 0 && !slices.Contains(b.subjects, t.id) {
			continue
		}
		args := t.command[1:]
		if t.command[0] == "streams" {
			args = append([]string{"streams"}, args...)
		}
		t.command = append([]string{binary}, args...)
		list = append(list, t)
	}
	return list
}

func talkTo(id, path string, command ...string) talked {
	return talked{subject: subject{id: id, command: command}, path: path}
}

// of measures a case, and then takes as the base of its ratios the rival that needs the least of a metric.
func (b *bench) of(name string, all []talked, rounds int, metric string, rivals []string, one func(talked) (*figures, error)) error {
	var subjects []subject
	for _, t := range all {
		subjects = append(subjects, t.subject)
	}
	err := b.interleave(name, subjects, rounds, func(s subject) (*figures, error) {
		i := slices.IndexFunc(all, func(t talked) bool { return t.id == s.id })
		return one(all[i])
	})
	rows := b.log.Rows(report.Options{Metrics: b.area.metrics, Drop: b.drop})
	least := 0.
	for _, id := range rivals {
		if v, ok := figure(rows, name, id, metric); ok && (b.bases[name] == "" || v < least) {
			b.bases[name], least = id, v
		}
	}
	return err
}

// talk is one measurement of messages: a fresh server, a fresh driver, one window, and nothing lost. publish is how many
// messages a second the server publishes meanwhile, 0 as many as it can, negative none.
func (b *bench) talk(t talked, j talkJob, publish int, per string) (f *figures, err error) {
	srv, err := b.start(t.subject, b.onOneCore())
	if err != nil {
		return nil, err
	}
	defer stop(srv.Proc, &err)
	j.Addr, j.Server, j.Path, j.Raw = srv.addr, srv.PID(), t.path, t.raw
	drv, err := b.openTalk(j)
	if err != nil {
		return nil, err
	}
	defer stop(drv.Proc, &err)
	if publish >= 0 {
		if err := srv.subscribed(j.Streams); err != nil {
			return nil, err
		}
		if ok, err := srv.can(fmt.Sprint("publish ", publish)); !ok || err != nil {
			return nil, errors.Join(fmt.Errorf("%s does not publish", t.id), err)
		}
	}
	r, err := drv.window()
	if err != nil {
		return nil, err
	}
	last := "0"
	if publish >= 0 {
		if last, err = srv.Ask("hush", patience); err != nil {
			return nil, err
		}
	}
	if err := drv.settle(last); err != nil {
		return nil, err
	}
	return r.figures(per, publish), nil
}

// subscribed waits until the server has so many subscribers.
func (s *server) subscribed(n int) error {
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		got, _, err := s.number("subscribers")
		if err != nil || int(got) == n {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("the server has %v subscribers, not %d", got, n)
		}
	}
}

// figures turns a driver's result into metrics. As fast as it goes, a delivery's latency is the length of the queues:
// no figure.
func (r talkResult) figures(per string, publish int) *figures {
	f := &figures{disturbed: r.Usage.Disturbed(), values: map[string]float64{
		"rate": float64(r.Messages) / r.Elapsed.Seconds(),
	}}
	if publish != 0 {
		f.values["p50"], f.values["p99"] = micros(r.P50), micros(r.P99)
	}
	if r.Usage.Known {
		f.values[per] = micros(r.Usage.Server) / float64(r.Messages)
		f.values["server_cpu"] = 100 * r.Usage.Server.Seconds() / r.Usage.Elapsed.Seconds()
		f.values["driver_cpu"] = 100 * r.Usage.Driver.Seconds() / r.Usage.Elapsed.Seconds()
		f.values["steal"] = r.Usage.Steal
		f.values["other_load"] = r.Usage.Other
	}
	return f
}

// ourJob is what all jobs have in common.
func (b *bench) ourJob(mode h2c.Mode, conns, streams, size int) talkJob {
	return talkJob{Config: h2c.Config{Mode: mode, Conns: conns, Streams: streams, Size: size}, Warm: b.warm, Window: b.window}
}
