package h2

// State is where a stream stands, RFC 9113, section 5.1. There is no push here,
// so nothing is ever reserved.
//
//	         HEADERS
//	idle ───────────────► open ──────────────┐
//	           END_STREAM  │  │  END_STREAM  │
//	           received    │  │  sent        │
//	                       ▼  ▼              │ RST_STREAM
//	     half-closed (remote) half-closed    │ either way
//	                       │  │    (local)   │
//	       END_STREAM sent │  │ received     │
//	                       ▼  ▼              │
//	                      closed ◄───────────┘
type State uint8

const (
	Idle State = iota
	Open
	HalfClosedLocal  // we have sent END_STREAM
	HalfClosedRemote // the peer has
	Closed
)

var stateNames = [...]string{"idle", "open", "half-closed (local)", "half-closed (remote)", "closed"}

// String returns the RFC's name of the state.
func (s State) String() string { return stateNames[s] }

// Stream is the protocol's part of one stream. Package stream embeds it in its
// own type, of which Owner is a pointer. The zero value is idle. Whoever owns
// the Core owns its Streams.
type Stream[O any] struct {
	Owner O

	remain   int64 // bytes of a declared content-length still to come; -1: none declared
	id       uint32
	sendGain int32 // the send window is the peer's INITIAL_WINDOW_SIZE plus this, so that changing that one touches no stream
	recvGain int32 // likewise for receiving, with our own window
	owed     int32 // bytes consumed for which no WINDOW_UPDATE has been sent
	state    State
	marks    marks
}

type marks uint8

const (
	answered marks = 1 << iota // we have sent HEADERS
	received                   // the peer's HEADERS (client: the final ones) have come
	counted                    // stands in Core.active
	held                       // its owner has not called Release
	wide                       // Widen has granted more than new streams have
)

// ID returns the stream's identifier, 0 while it is idle.
func (s *Stream[O]) ID() uint32 { return s.id }

// State returns where the stream stands.
func (s *Stream[O]) State() State { return s.state }

// RemoteDone reports that the peer sends no more on the stream.
func (s *Stream[O]) RemoteDone() bool { return s.state >= HalfClosedRemote }

// LocalDone reports that we may send no more on the stream.
func (s *Stream[O]) LocalDone() bool { return s.state == HalfClosedLocal || s.state == Closed }

// Answered reports that we have sent HEADERS on the stream.
func (s *Stream[O]) Answered() bool { return s.marks&answered != 0 }

// remoteEnd and localEnd are END_STREAM; true when the stream is closed by it.
func (s *Stream[O]) remoteEnd() bool {
	if s.state == HalfClosedLocal {
		return true
	}
	s.state = HalfClosedRemote
	return false
}

func (s *Stream[O]) localEnd() bool {
	if s.state == HalfClosedRemote {
		return true
	}
	s.state = HalfClosedLocal
	return false
}
