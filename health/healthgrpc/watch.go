package healthgrpc

import (
	"errors"

	"github.com/weir-go/weir/stream"
)

// watcher is a stream of Watch. All but st is its loop's.
//
//	request ─► tell ─► the status now
//	changed ─► tell ─► the status, if it is another one than the last
//
// Nothing is queued for a client that does not read: it gets what is so when it
// does.
type watcher struct {
	s       *Service
	st      *stream.Stream
	service string
	asked   bool
	told    byte // 0: nothing yet
}

func (s *Service) open(st *stream.Stream) (stream.Handler, error) {
	w := &watcher{s: s, st: st}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, errClosed
	case len(s.watchers) >= s.most:
		s.refused++
		return nil, errMany
	}
	s.watchers[w] = struct{}{}
	return w, nil
}

// Message is the request. A service that nobody knows may become known: the stream
// goes on.
func (w *watcher) Message(_ *stream.Stream, m []byte) error {
	if w.asked {
		return errTwo
	}
	service, err := request(m)
	if err != nil {
		return err
	}
	w.service, w.asked = service, true
	w.tell()
	return nil
}

// tell sends the status if the client does not know it.
func (w *watcher) tell() {
	if !w.asked {
		return
	}
	now := w.s.status(w.service)
	if now == w.told {
		return
	}
	switch err := w.st.Emit(appendResponse(nil, now)); {
	case err == nil:
		w.told = now
	case !errors.Is(err, stream.ErrFull): // Drained follows that
		w.st.Finish(err)
	}
}

// Drained is called when a client that was behind has read.
func (w *watcher) Drained(*stream.Stream) { w.tell() }

// HalfClosed follows the request at once.
func (w *watcher) HalfClosed(*stream.Stream) error {
	if !w.asked {
		return errNone
	}
	return nil
}

func (w *watcher) Closed(*stream.Stream, error) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	delete(w.s.watchers, w)
}
