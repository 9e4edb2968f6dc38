package stream

import (
	"time"

	"github.com/weir-go/weir/internal/h2"
	"github.com/weir-go/weir/timer"
)

// subscriber is what a topic needs of a stream: *tap is one. Only loop may be
// called from any goroutine.
type subscriber interface {
	push(m *Message) bool // frames m now if nothing is queued and windows and room suffice
	want()                // its source's pull is called once when push may succeed again
	end(err error)        // the stream ends with err's status, after what is queued

	burst() burst // groups the streams whose output leaves in one write
	loop() int    // index of the loop that owns it

	hung() source        // what hang was given last
	hang(s source) error // s is told from here on; nil: nobody. ErrClosed when the stream has ended

	after(t *timer.Timer, d time.Duration) // t fires on the loop, d from now
	stop(t *timer.Timer)
}

// burst is a run of pushes outside of a callback: *Session is one.
type burst interface {
	begin()
	flush()
}

// looper runs functions on loops: *conn.Runtime does. Any goroutine.
type looper interface {
	Post(loop int, f func()) error
}

// tap is a Stream, seen from a topic.
type tap Stream

func (t *tap) push(m *Message) bool { return (*Stream)(t).push(m) }
func (t *tap) want()                { (*Stream)(t).want() }
func (t *tap) burst() burst         { return t.sess }
func (t *tap) loop() int            { return t.sess.link.Loop() }
func (t *tap) hung() source         { return t.subs }

// end lets what is queued go out before the trailers. Of a subscriber that is
// too slow the queue is dropped: it may never have a window for it.
func (t *tap) end(err error) {
	st := (*Stream)(t)
	if err != error(statusSlow) || st.head == nil {
		st.end(err)
		return
	}
	st.sess.begin()
	st.reset(h2.EnhanceYourCalm, statusSlow) // clients make ResourceExhausted of it
	st.sess.flush()
}

func (t *tap) hang(s source) error {
	if t.flags&ended != 0 && s != nil {
		return ErrClosed
	}
	t.subs = s
	return nil
}

func (t *tap) after(at *timer.Timer, d time.Duration) {
	link := t.sess.link
	link.SetTimer(at, link.Now().Add(d))
}

func (t *tap) stop(at *timer.Timer) { t.sess.link.StopTimer(at) }
