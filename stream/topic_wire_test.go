package stream

import (
	"fmt"
	"io"
	"runtime"
	"testing"

	"github.com/weir-go/weir/conn"
)

// swarm is subscribers over 16 connections whose clients read and look at
// nothing.
func swarm(b testing.TB, n int, o SubOptions) (topic *Topic, rt *conn.Runtime) {
	rt, _, addr := serveTopic(b, conn.Config{Loops: 1}, func(st *Stream) error {
		_, err := topic.Subscribe(st, o)
		return err
	})
	topic = NewTopic(rt, TopicConfig{})
	const conns = 16
	for c := range conns {
		l := listen(b, addr, 1<<31-1)
		for i := c; i < n; i += conns {
			l.open(uint32(2*(i/conns)+1), "/t.T/Subscribe", nil)
		}
		go func() {
			for p := make([]byte, 1<<20); ; {
				if _, err := io.ReadFull(l.nc, p); err != nil {
					return
				}
				l.nc.Write([]byte{0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0x10, 0, 0}) // WINDOW_UPDATE of 1 MiB
			}
		}()
	}
	for topic.Stats().Shards == 0 || topic.Len() < n {
		runtime.Gosched()
	}
	return topic, rt
}

// A message through real sessions and sockets, with the clients' reading on the
// same machine: a publish is only counted when it was pushed to everybody.
func BenchmarkTopicOverSessions(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			topic, _ := swarm(b, n, SubOptions{Policy: DropOldest, Queue: 1000})
			m := NewMessage(make([]byte, 64))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := topic.PublishMessage(m, ""); err != nil {
					b.Fatal(err)
				}
				for st := topic.Stats(); st.Delivered < uint64(n)*st.Published; st = topic.Stats() {
					runtime.Gosched()
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/delivery")
			if st := topic.Stats(); st.Dropped[DropOldest] > 0 {
				b.Errorf("%+v", st)
			}
		})
	}
}
