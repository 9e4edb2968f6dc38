package rpc

import (
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/echo/echopb"
	"github.com/weir-go/weir/stream"
	"github.com/weir-go/weir/timer"
)

// clock is the service Clock: one ticker, one topic, any number of subscribers.
//
//	ticker ─► tick ─► Topic.Publish ─► the log of each loop ─► every stream
//
// A tick is encoded once. Who is behind gets the newest when he reads again, and
// before it how many he has missed.
type clock struct {
	topic  *stream.Topic
	clock  *timer.Clock
	ticker *timer.Ticker
	period time.Duration
}

func startClock(rt *conn.Runtime, period time.Duration) (*clock, error) {
	tc, err := timer.NewClock(timer.ClockConfig{Precision: timer.Fine})
	if err != nil {
		return nil, err
	}
	c := &clock{clock: tc, period: period}
	c.topic = stream.NewTopic(rt, stream.TopicConfig{
		Name: "clock", Gap: missed,
		SubOptions: stream.SubOptions{Policy: stream.Latest},
	})
	c.ticker, err = tc.NewTicker(timer.TickerConfig{Period: period, Align: true, Func: c.tick})
	if err != nil {
		tc.Close()
		return nil, err
	}
	return c, nil
}

// tick publishes, on the clock's goroutine. Publishing waits for nobody; if a
// loop were so late that its inbox is full, the topic counts what it refused,
// and numbers tell the subscribers.
func (c *clock) tick(t timer.Tick) {
	m, err := proto.Marshal(&echopb.Tick{Number: t.N, Due: timestamppb.New(c.due(t)), Skipped: t.Skipped})
	if err == nil {
		c.topic.Publish(m)
	}
}

// due is a tick's instant on the wall clock, where the grid is the multiples of
// the period since 1970. Time may pass between the two readings, and the wall
// clock may be slewed: the nearest point of the grid is meant.
func (c *clock) due(t timer.Tick) time.Time {
	about := time.Now().Add(t.Due.Sub(timer.Now())).UnixNano()
	period := int64(c.period)
	return time.Unix(0, (about+period/2)/period*period)
}

// missed is the message for those that a slow subscriber is not sent.
func missed(dst []byte, from, to uint64) []byte {
	m, _ := proto.MarshalOptions{}.MarshalAppend(dst, &echopb.Tick{Missed: to - from + 1})
	return m
}

// stop ends the ticking and then the subscribers' streams, with the status of
// err.
func (c *clock) stop(err error) {
	c.ticker.Stop()
	c.clock.Close()
	c.topic.Close(err)
}

func (c *clock) open(*stream.Stream) (stream.Handler, error) { return &subscriber{topic: c.topic}, nil }

// subscriber is a stream that gets what a topic publishes once it has asked.
type subscriber struct {
	topic *stream.Topic
	asked bool
}

func (h *subscriber) Message(st *stream.Stream, m []byte) error {
	if h.asked {
		return errTwo
	}
	h.asked = true
	if err := decode(m, &echopb.SubscribeRequest{}); err != nil {
		return err
	}
	_, err := h.topic.Subscribe(st, stream.SubOptions{})
	return err
}

// HalfClosed does not end the stream: clients of server streaming methods have
// no more to say after their request.
func (h *subscriber) HalfClosed(*stream.Stream) error {
	if !h.asked {
		return errNone
	}
	return nil
}

func (h *subscriber) Closed(*stream.Stream, error) {}
