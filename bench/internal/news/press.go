package news

import (
	"context"
	"strconv"
	"strings"
	"time"
)

// Press is how a server publishes, at the words of the benchmark (see package line):
//
//	benchmark            server
//	subscribers     ──►  how many there are
//	publish 50      ──►  ok, and 50 messages a second from here on; 0: as fast as it goes
//	push            ──►  ok, and one message
//	hush            ──►  the number of the last message, after which there is none
//
// Answer is called by one goroutine at a time.
type Press struct {
	Size        int        // bytes of a body
	Subscribers func() int // how many there are

	// Publish sends one message to all subscribers and may wait for them. body is its until it returns. An error ends
	// the publishing; hush reports it.
	Publish func(ctx context.Context, body []byte) error

	seq    uint64 // of the last message; the publishing goroutine's while there is one
	err    error
	cancel context.CancelFunc // nil: nobody publishes
	done   chan struct{}
}

// Answer answers the words above; ok is false for others.
func (p *Press) Answer(word string) (answer string, ok bool) {
	word, rest, _ := strings.Cut(word, " ")
	switch word {
	case "subscribers":
		return strconv.Itoa(p.Subscribers()), true
	case "hush":
		p.Hush()
		if p.err != nil {
			return p.err.Error(), true
		}
		return strconv.FormatUint(p.seq, 10), true
	case "push":
		p.Hush()
		p.err = nil
		p.once(context.Background())
		return "ok", true
	case "publish":
		rate, err := strconv.Atoi(rest)
		if err != nil || rate < 0 || rate > 1e6 {
			return "not a rate: " + rest, true
		}
		p.Hush()
		p.begin(rate)
		return "ok", true
	}
	return "", false
}

// Hush ends the publishing and returns when it has ended.
func (p *Press) Hush() {
	if p.cancel == nil {
		return
	}
	p.cancel()
	<-p.done
	p.cancel = nil
}

func (p *Press) begin(rate int) {
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel, p.done, p.err = cancel, make(chan struct{}), nil
	go func() {
		defer close(p.done)
		if rate == 0 {
			for p.once(ctx) {
			}
			return
		}
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		for p.once(ctx) {
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}()
}

// once publishes one message unless ctx has ended. The time is the wall's: the receiver is another process. A message
// that was not published because ctx ended meanwhile has not happened.
func (p *Press) once(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	body := make([]byte, p.Size)
	Put(body, 0, p.seq+1, time.Now().UnixNano())
	if err := p.Publish(ctx, body); err != nil {
		if ctx.Err() == nil {
			p.err = err
		}
		return false
	}
	p.seq++
	return true
}
