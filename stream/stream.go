package stream

// Stream is one call.
type Stream struct {
	sess *Session
	subs source // of Topic.Subscribe; loop only
}

func (st *Stream) push(m *Message) bool { return false }
func (st *Stream) want()                {}
func (st *Stream) session() *Session    { return st.sess }
func (st *Stream) end(err error)        {}

// Post runs f on the stream's loop, if the stream still lives.
func (st *Stream) Post(f func(st *Stream)) error { return nil }
