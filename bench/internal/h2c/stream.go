package h2c

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/weir-go/weir/bench/internal/news"
	"github.com/weir-go/weir/internal/h2"
)

// prefixLen is what gRPC puts before a message: a flag and the length.
const prefixLen = 5

// flow is a stream that lives as long as its connection.
type flow struct {
	link  *link
	id    uint32
	slow  bool
	salt  uint64
	seq   uint64 // Echo: of the message under way; Listen: of the last one
	room  int64  // of the window, to send
	taken int64  // bytes received that the window has not been given back
	part  []byte // of a message that has not come whole
}

// open opens the link's streams: every Conns-th of all.
func (l *link) open() {
	cfg := &l.client.cfg
	if cfg.Mode == Idle {
		return
	}
	if cfg.Mode == Unary {
		l.openCalls()
		return
	}
	for i := l.index; i < cfg.Streams; i += cfg.Conns {
		s := &flow{link: l, id: l.nextID, salt: uint64(i), room: l.initial, slow: cfg.Slow > 0 && i%cfg.Slow == cfg.Slow-1}
		l.nextID += 2
		l.streams = append(l.streams, s)
		l.askFor(s.id)
		if cfg.Mode == Listen {
			s.seq = cfg.From
			s.subscribe()
		}
	}
}

// askFor sends a request's header. Those behind the first are all references to what the first has put in the table,
// as every client's are.
func (l *link) askFor(id uint32) {
	block := l.request
	if block == nil {
		block = l.fields.request(l.client.cfg.Path)
		l.request = l.fields.request(l.client.cfg.Path)
	}
	l.out = h2.AppendHeaders(l.out, id, block, false, maxFrame)
}

// subscribe sends the one request of a stream that listens.
func (s *flow) subscribe() {
	l, body := s.link, byte(All)
	if s.slow || l.client.cfg.Lossy {
		body = Lossy
	}
	n := news.HeadLen(1) + 1
	l.out = h2.AppendDataHeader(l.out, s.id, prefixLen+n, true)
	l.out = append(news.AppendHead(h2.AppendPrefix(l.out, false, n), news.Request, 1), body)
	l.room -= int64(prefixLen + n)
	if l.client.cfg.Slow > 0 && !s.slow {
		l.out = h2.AppendWindowUpdate(l.out, s.id, h2.MaxWindow-slowFirst)
	}
}

// stream finds one by its id; nil when it is not there.
func (l *link) stream(id uint32) *flow {
	if i := int(id-1) / 2; i < len(l.streams) {
		return l.streams[i]
	}
	return nil
}

// begin sends the first messages.
func (l *link) begin() {
	switch l.client.cfg.Mode {
	case Echo:
		for _, s := range l.streams {
			s.next()
		}
	case Unary:
		for len(l.free) > 0 {
			l.call()
		}
	}
	l.flush()
}

// next sends the stream's next message, or leaves that to the window.
func (s *flow) next() {
	s.seq++
	s.link.underWay++
	if s.fits() {
		s.send()
	} else {
		s.link.blocked = append(s.link.blocked, s)
	}
}

// length of a message with its prefix.
func (c *Client) length() int { return prefixLen + len(c.head) + c.cfg.Size }

func (s *flow) fits() bool {
	n := int64(s.link.client.length())
	return s.room >= n && s.link.room >= n
}

func (s *flow) send() {
	n := s.link.client.length()
	s.room -= int64(n)
	s.link.room -= int64(n)
	s.link.message(s.id, s.salt, s.seq, false)
}

// message appends a DATA frame with one message.
func (l *link) message(id uint32, salt, seq uint64, end bool) {
	c := l.client
	l.out = h2.AppendDataHeader(l.out, id, c.length(), end)
	l.out = append(h2.AppendPrefix(l.out, false, c.length()-prefixLen), c.head...)
	at := len(l.out)
	l.out = append(l.out, make([]byte, c.cfg.Size)...)
	news.Put(l.out[at:], salt, seq, c.now)
}

// data takes a DATA frame's payload.
func (l *link) data(id uint32, p []byte, end bool) error {
	if l.calls != nil {
		return l.answer(id, p, end)
	}
	s := l.stream(id)
	if s == nil || end {
		return fmt.Errorf("%w: DATA on stream %d, end %t", ErrProtocol, id, end)
	}
	if s.taken += int64(len(p)); s.taken >= topUp && !s.slow {
		l.out = h2.AppendWindowUpdate(l.out, id, uint32(s.taken))
		s.taken = 0
	}
	whole := len(s.part) > 0
	if whole {
		s.part = append(s.part, p...)
		p = s.part
	}
	for len(p) >= prefixLen {
		n := prefixLen + int(binary.BigEndian.Uint32(p[1:]))
		if len(p) < n {
			break
		}
		if p[0] != 0 {
			return fmt.Errorf("%w: a message with flags %x", ErrProtocol, p[0])
		}
		if err := s.received(p[prefixLen:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	if whole || len(p) > 0 {
		s.part = append(s.part[:0], p...)
	}
	return nil
}

// received takes a message.
func (s *flow) received(m []byte) error {
	l := s.link
	c := l.client
	if c.cfg.Mode == Listen {
		return s.news(m)
	}
	at, err := c.check(m, s.salt, s.seq)
	if err != nil {
		return fmt.Errorf("stream %d: %w", s.id, err)
	}
	l.underWay--
	c.count++
	c.latency.Record(time.Duration(c.now - at))
	if c.running {
		s.next()
	}
	return nil
}

// news takes a published message: the next one, or, on a stream that is not read, some later one.
func (s *flow) news(m []byte) error {
	c, seq := s.link.client, s.seq+1
	if s.slow {
		seq = max(seq, news.Number(m[min(len(m), len(c.head)):]))
	}
	at, err := c.check(m, 0, seq)
	if err != nil {
		return fmt.Errorf("stream %d: %w", s.id, err)
	}
	s.seq = seq
	if !s.slow {
		c.count++
		c.latency.Record(time.Duration(c.now - at))
	}
	return nil
}

// check compares a message with the one it must be.
func (c *Client) check(m []byte, salt, seq uint64) (at int64, err error) {
	tag := byte(news.Response)
	if c.cfg.Raw {
		tag = news.Request
	}
	body, err := news.Body(m, tag)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrWrong, err)
	}
	at, ok := news.Check(body, salt, seq)
	if !ok || len(body) != c.cfg.Size {
		return 0, fmt.Errorf("%w: number %d of %d bytes, want %d of %d", ErrWrong, news.Number(body), len(body), seq, c.cfg.Size)
	}
	return at, nil
}
