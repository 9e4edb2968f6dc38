package h2

import "fmt"

// model is RFC 9113 for a server, written down a second time, as naively as
// possible: every stream that there ever was, every window as a plain number,
// no limit on how often. FuzzSession holds the Core to it.
type model struct {
	streams map[uint32]*modelStream
	highest uint32
	max     int // streams at once
	initial int64
	send    int64 // the connection's windows
	recv    int64
	granted int64 // consumed and not announced
	failed  bool
	code    Code
	resets  []string // what RST_STREAM the last step has sent
}

type modelStream struct {
	fate       fate // unknown while it is open
	local      bool // ended by us
	remote     bool // ended by the peer
	send, recv int64
	owed       int64
	inHand     int64 // bytes shown and not consumed
	released   bool
	accepted   bool
}

const (
	modelWindow = 3000
	modelConn   = 70000
	modelIDs    = 31 // all of them are remembered
)

func newModel(max int) *model {
	return &model{streams: map[uint32]*modelStream{}, max: max, initial: 65535, send: 65535, recv: modelConn}
}

func (m *model) fail(c Code) { m.failed, m.code = true, c }

func (m *model) rst(id uint32, c Code) { m.resets = append(m.resets, fmt.Sprint(id, c)) }

// kill is a stream error.
func (m *model) kill(id uint32, s *modelStream, c Code) {
	m.rst(id, c)
	s.fate = resetOut
}

func (m *model) finish(s *modelStream) {
	if s.local && s.remote {
		s.fate = ended
	}
}

func (m *model) active() (n int) {
	for _, s := range m.streams {
		if s.accepted && (s.fate == unknown || !s.released) {
			n++
		}
	}
	return n
}

func (m *model) idle(id uint32) bool { return id%2 == 0 || id > m.highest }

// headers is a HEADERS frame: of a request or of trailers.
func (m *model) headers(id uint32, request, end bool) {
	s := m.streams[id]
	switch {
	case id == 0 || id%2 == 0:
		m.fail(ProtocolError)
	case m.idle(id):
		m.highest = id
		m.open(id, request, end)
	case s == nil:
		m.fail(ProtocolError)
	case s.fate == ended:
		m.fail(StreamClosed)
	case s.fate == resetIn:
		m.rst(id, StreamClosed)
	case s.fate == resetOut: // ignored
	case s.remote:
		m.kill(id, s, StreamClosed)
	case request || !end: // pseudo-header fields, or no end
		m.kill(id, s, ProtocolError)
	default:
		s.remote = true
		m.finish(s)
	}
}

func (m *model) open(id uint32, request, end bool) {
	s := &modelStream{send: m.initial, recv: modelWindow, remote: end}
	switch {
	case !request:
		m.kill(id, s, ProtocolError)
	case m.active() >= m.max:
		m.kill(id, s, RefusedStream)
	default:
		s.accepted = true
	}
	m.streams[id] = s
}

func (m *model) data(id uint32, n int64, end bool) {
	s := m.streams[id]
	if n > m.recv {
		m.fail(FlowControlError)
		return
	}
	m.recv -= n
	switch {
	case m.idle(id):
		m.fail(ProtocolError)
		return
	case s == nil || s.fate == ended || s.fate == resetIn:
		m.rst(id, StreamClosed)
	case s.fate == resetOut:
	case s.remote:
		m.kill(id, s, StreamClosed)
	case n > s.recv:
		m.kill(id, s, FlowControlError)
	default:
		s.recv -= n
		s.inHand += n
		s.remote = end
		m.finish(s)
		return
	}
	m.credit(n)
}

// credit is the connection's; announced when half of it is owed.
func (m *model) credit(n int64) {
	if m.granted += n; m.granted >= modelConn/2 {
		m.recv += m.granted
		m.granted = 0
	}
}

func (m *model) rstStream(id uint32) {
	switch s := m.streams[id]; {
	case m.idle(id):
		m.fail(ProtocolError)
	case s != nil && s.fate == unknown:
		s.fate = resetIn
	}
}

func (m *model) windowUpdate(id uint32, n int64) {
	s := m.streams[id]
	switch {
	case id == 0 && n == 0:
		m.fail(ProtocolError)
	case id == 0 && m.send+n > MaxWindow:
		m.fail(FlowControlError)
	case id == 0:
		m.send += n
	case m.idle(id):
		m.fail(ProtocolError)
	case s == nil || s.fate != unknown:
	case n == 0:
		m.kill(id, s, ProtocolError)
	case s.send+n > MaxWindow:
		m.kill(id, s, FlowControlError)
	default:
		s.send += n
	}
}

func (m *model) settings(initial int64) {
	if initial > MaxWindow {
		m.fail(FlowControlError)
		return
	}
	by := initial - m.initial
	for _, s := range m.streams {
		if s.fate == unknown && s.send+by > MaxWindow {
			m.fail(FlowControlError)
			return
		}
	}
	m.initial = initial
	for _, s := range m.streams {
		s.send += by
	}
}

func (m *model) priority(id, dep uint32) {
	s := m.streams[id]
	switch {
	case id == 0:
		m.fail(ProtocolError)
	case id != dep:
	case m.idle(id):
		m.fail(ProtocolError)
	case s != nil && s.fate == unknown:
		m.kill(id, s, ProtocolError)
	default:
		m.rst(id, ProtocolError)
	}
}
