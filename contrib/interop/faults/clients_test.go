//go:build linux

package faults

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/weir-go/weir/internal/await"
)

// raw is a codec of grpc-go whose messages are *[]byte.
type raw struct{}

func (raw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

func (raw) Name() string { return "raw" }

// tally is what clients have seen.
type tally struct {
	Granted int64 // streams that were let in
	Shed    int64 // refused by the server's admission
	Away    int64 // refused on a connection for which there was no room
	Busy    int64 // refused for want of goroutines
	Sent    int64 // let in, idle, and sent away with a word
	Silent  int64 // refused without a word: no connection, reset, no answer
	Lost    int64 // let in, and ended without a word
	Wrong   int64 // answered with what was not sent
	Beats   int64 // answered
	Once    int64 // single calls that were answered
	Mute    int64 // and those that were not
	Why     map[string]int
}

type counter struct {
	mu sync.Mutex
	tally
}

func (c *counter) add(n *int64) { c.mu.Lock(); *n++; c.mu.Unlock() }

func (c *counter) blame(n *int64, what string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*n++
	if c.Why == nil {
		c.Why = map[string]int{}
	}
	if why := what + ": " + err.Error(); len(c.Why) < 20 || c.Why[why] > 0 {
		c.Why[why]++
	}
}

const (
	beats   = 100 * time.Millisecond
	answers = await.Patience  // how long a client waits for an answer
	again   = 2 * time.Second // and, when it was not told, before it tries again
)

// client comes, asks for a stream, keeps it alive or is refused, and comes again.
type client struct {
	*counter
	cc     *grpc.ClientConn
	method string
	stay   time.Duration // 0: for ever
}

var calls atomic.Uint64

// load is clients of grpc-go's: N of them, each with a connection of its own,
// until its input ends.
func load() error {
	n, err := strconv.Atoi(os.Getenv("FAULTS_N"))
	if err != nil {
		return err
	}
	calls.Store(rand.Uint64()) // no other process begins there
	var c counter
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var all sync.WaitGroup
	for i := range n {
		k := &client{counter: &c, method: "/faults.F/Beat"}
		if os.Getenv("FAULTS_ROVING") != "" {
			k.stay = 2 * time.Second
			if i%4 == 0 {
				k.method = "/faults.F/Go"
			}
		}
		all.Go(func() { k.live(ctx) })
	}
	answer("ready", func() any {
		c.mu.Lock()
		defer c.mu.Unlock()
		now := c.tally
		now.Why = maps.Clone(c.Why)
		return now
	})
	cancel()
	all.Wait()
	return nil
}

// live is all of a client's visits. One who does not stay hangs up behind every
// other.
func (k *client) live(ctx context.Context) {
	for ctx.Err() == nil {
		if k.cc == nil {
			cc, err := grpc.NewClient("passthrough:///"+os.Getenv("FAULTS_ADDR"),
				grpc.WithTransportCredentials(insecure.NewCredentials()),
				grpc.WithDefaultCallOptions(grpc.ForceCodecV2(raw{})),
				grpc.WithConnectParams(grpc.ConnectParams{
					Backoff:           backoff.Config{BaseDelay: time.Second, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second},
					MinConnectTimeout: answers,
				}))
			if err != nil {
				k.blame(&k.Silent, "client", err)
				return
			}
			k.cc = cc
		}
		pause := k.visit(ctx)
		if k.stay > 0 && rand.IntN(2) == 0 {
			k.cc.Close()
			k.cc = nil
		}
		wait(ctx, pause)
	}
	if k.cc != nil {
		k.cc.Close()
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// told judges the end of a stream that was refused: how long to wait.
func (k *client) told(end metadata.MD, err error, sent bool) (time.Duration, bool) {
	back := end.Get("grpc-retry-pushback-ms")
	if len(back) == 0 {
		// What grpc-go says when it finds two connections in succession that were
		// drained between its choice and the call.
		return again, status.Convert(err).Message() == "the connection is draining"
	}
	ms, _ := strconv.Atoi(back[0])
	switch {
	case status.Code(err) == codes.ResourceExhausted:
		k.add(&k.Busy)
	case sent:
		k.add(&k.Sent)
	case status.Convert(err).Message() == "the server has no room for another connection":
		k.add(&k.Away)
	default:
		k.add(&k.Shed)
	}
	return time.Duration(ms) * time.Millisecond, true
}

// visit returns when to come again.
func (k *client) visit(life context.Context) time.Duration {
	ctx, cancel := context.WithCancel(life)
	defer cancel()
	late := time.AfterFunc(answers, cancel) // there is no deadline of the stream: each answer has one
	defer late.Stop()
	until := time.Now().Add(k.stay + rand.N(k.stay+1))
	desc := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	cs, err := k.cc.NewStream(ctx, desc, k.method)
	granted := false
	for n := uint64(1); err == nil; n++ {
		if err = k.exchange(cs, n); err != nil {
			break
		}
		granted = true
		if n == 1 {
			k.add(&k.Granted)
		}
		k.add(&k.Beats)
		if n%20 == 10 { // what is on the connection already goes on, more does not
			k.another(ctx)
			k.once(ctx, 1)
		}
		if wait(ctx, beats); k.stay > 0 && time.Now().After(until) {
			return k.leave(cs)
		}
		late.Reset(answers)
		if ctx.Err() == nil {
			continue
		}
		return again
	}
	if life.Err() != nil {
		return again // it was the client who has ended it
	}
	return k.ended(life, cs, granted, err)
}

// another asks for a second stream beside the one that there is.
func (k *client) another(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, answers)
	defer cancel()
	cs, err := k.cc.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, k.method)
	if err == nil {
		err = k.exchange(cs, 1)
	}
	if err == nil {
		return
	}
	var end metadata.MD
	if cs != nil {
		end = cs.Trailer()
	}
	if _, ok := k.told(end, err, false); !ok {
		k.blame(&k.Silent, "asked for another", err)
	}
}

// leave ends a stream as one does.
func (k *client) leave(cs grpc.ClientStream) time.Duration {
	var m []byte
	cs.CloseSend()
	if err := cs.RecvMsg(&m); err != io.EOF {
		if _, ok := k.told(cs.Trailer(), err, true); !ok {
			k.blame(&k.Lost, "leaving", err)
		}
	}
	return rand.N(again)
}

// exchange sends a message and wants it back.
func (k *client) exchange(cs grpc.ClientStream, n uint64) error {
	m := binary.BigEndian.AppendUint64(make([]byte, 0, 64), n)
	var back []byte
	if err := cs.SendMsg(&m); err != nil && err != io.EOF {
		return err
	}
	if err := cs.RecvMsg(&back); err != nil {
		return err
	}
	if len(back) < 8 || binary.BigEndian.Uint64(back) != n {
		k.blame(&k.Wrong, "stream", fmt.Errorf("%d bytes for message %d", len(back), n))
	}
	return nil
}

// ended judges a stream that has ended by itself.
func (k *client) ended(ctx context.Context, cs grpc.ClientStream, granted bool, err error) time.Duration {
	var end metadata.MD
	if cs != nil {
		end = cs.Trailer()
	}
	if back, ok := k.told(end, err, granted); ok {
		if status.Code(err) == codes.Unavailable {
			k.once(ctx, 3)
		}
		return back
	}
	if granted {
		k.blame(&k.Lost, "stream", err)
	} else {
		k.blame(&k.Silent, "asked", err)
	}
	return again
}

// once does by single calls what it was refused a stream for.
func (k *client) once(ctx context.Context, times int) {
	for range times {
		m := binary.BigEndian.AppendUint64(make([]byte, 0, 64), calls.Add(1))
		var back []byte
		var end metadata.MD
		ctx, cancel := context.WithTimeout(ctx, answers)
		err := k.cc.Invoke(ctx, "/faults.F/Once", &m, &back, grpc.Trailer(&end))
		cancel()
		switch _, ok := k.told(end, err, false); {
		case ok:
			return
		case err != nil:
			k.blame(&k.Mute, "once", err)
			return
		case string(back) != string(m):
			k.blame(&k.Wrong, "once", fmt.Errorf("%d bytes", len(back)))
		}
		k.add(&k.Once)
		wait(ctx, beats)
	}
}

// watched is how an admin port has answered.
type watched struct {
	Answers, None    int
	Median, P99, Max time.Duration
}

// probe asks a page ten times a second, each time anew, until its input ends.
func probe() error {
	c := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	var mu sync.Mutex
	var took []time.Duration
	none := 0
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ; ctx.Err() == nil; wait(ctx, 100*time.Millisecond) {
			began := time.Now()
			r, err := c.Get("http://" + os.Getenv("FAULTS_ADDR") + "/")
			if err == nil {
				_, err = io.Copy(io.Discard, r.Body)
				r.Body.Close()
			}
			mu.Lock()
			if err != nil {
				none++
			} else {
				took = append(took, time.Since(began))
			}
			mu.Unlock()
		}
	}()
	answer("ready", func() any {
		mu.Lock()
		defer mu.Unlock()
		w := watched{Answers: len(took), None: none}
		if slices.Sort(took); len(took) > 0 {
			w.Median, w.P99, w.Max = took[len(took)/2], took[len(took)*99/100], took[len(took)-1]
		}
		took, none = nil, 0
		return w
	})
	cancel()
	<-ended
	return nil
}
