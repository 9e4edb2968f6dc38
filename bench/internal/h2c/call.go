package h2c

import (
	"encoding/binary"
	"fmt"
	"time"
)

// call is a stream with one message each way.
//
//	HEADERS, DATA ─► ─► HEADERS, DATA, HEADERS with grpc-status 0 ─► the next
type call struct {
	id   uint32
	seq  uint64
	part []byte
	at   int64 // of the request; 0: the answer is not here yet
}

// places is how many ids may lie between the oldest call under way and the newest: ids are found by their remainder.
const places = 1 << 12

func (l *link) openCalls() {
	cfg := &l.client.cfg
	l.calls = make([]call, places)
	for i := l.index; i < cfg.Streams; i += cfg.Conns {
		l.free = append(l.free, i)
	}
}

func (l *link) place(id uint32) *call { return &l.calls[id/2%places] }

// call sends the next one.
func (l *link) call() {
	l.free = l.free[:len(l.free)-1]
	k := l.place(l.nextID)
	if k.id != 0 {
		l.client.fail(fmt.Errorf("%w: call %d was overtaken by %d others", ErrStuck, k.id, places))
		return
	}
	k.id, k.seq, k.at, k.part = l.nextID, uint64(l.nextID), 0, k.part[:0]
	l.nextID += 2
	l.underWay++
	l.room -= int64(l.client.length())
	l.askFor(k.id)
	l.message(k.id, uint64(l.index), k.seq, true)
}

// answer takes a DATA frame of a call.
func (l *link) answer(id uint32, p []byte, end bool) error {
	k := l.place(id)
	if k.id != id || end {
		return fmt.Errorf("%w: DATA on stream %d, end %t", ErrProtocol, id, end)
	}
	if len(k.part) > 0 || len(p) < prefixLen || len(p) < prefixLen+int(binary.BigEndian.Uint32(p[1:])) {
		k.part = append(k.part, p...)
		p = k.part
	}
	if len(p) < prefixLen || len(p) < prefixLen+int(binary.BigEndian.Uint32(p[1:])) {
		return nil
	}
	if len(p) != l.client.length() || k.at != 0 {
		return fmt.Errorf("%w: an answer of %d bytes", ErrWrong, len(p))
	}
	at, err := l.client.check(p[prefixLen:], uint64(l.index), k.seq)
	k.at = at
	return err
}

// headers takes a header or trailers.
func (l *link) headers(id uint32, block []byte, end bool) error {
	status, err := l.fields.status(block)
	if err != nil {
		return err
	}
	if end && status != "0" || l.calls == nil && end {
		return fmt.Errorf("%w: stream %d ends with grpc-status %q", ErrEnded, id, status)
	}
	if !end {
		return nil
	}
	k := l.place(id)
	if k.id != id || k.at == 0 {
		return fmt.Errorf("%w: stream %d ends without an answer", ErrProtocol, id)
	}
	c := l.client
	k.id = 0
	l.underWay--
	l.free = append(l.free, 0)
	c.count++
	c.latency.Record(time.Duration(c.now - k.at))
	if c.running && l.room >= int64(c.length()) {
		l.call()
	} else if c.running {
		return fmt.Errorf("%w: the connection's window is shut", ErrStuck)
	}
	return nil
}
