package conn

import "github.com/weir-go/weir/poller"

// source is what a loop's poller can report on: a connection, an accepting
// socket, a connect under way.
type source interface {
	// ready is called on the loop with what the kernel said: a hint, never
	// a promise. Only a system call finds out what is true.
	ready(l *loop, r poller.Ready)
}

// slots gives every source of a loop its token: the index of a slot and the
// slot's generation. The generation moves on when the source leaves, which
// happens before its descriptor is closed: an event that the kernel had in
// store for it is then recognised as stale, whoever has the descriptor's
// number by that time. Pages never move, and never go back: a slot is a slot
// for the life of the loop. Owned by the loop.
type slots struct {
	pages []*[slotPage]slot
	free  []uint32
	used  int
}

const slotPage = 256

type slot struct {
	src source
	gen uint32
}

// add finds a slot for src. The source must be told its token before it is
// given to the poller.
func (s *slots) add(src source) poller.Token {
	if len(s.free) == 0 {
		s.grow()
	}
	i := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	at := s.at(i)
	at.src = src
	s.used++
	return poller.MakeToken(i, at.gen)
}

// find returns the source that tok was made for, nil when it has left.
func (s *slots) find(tok poller.Token) source {
	i := tok.Slot()
	if int(i/slotPage) >= len(s.pages) {
		return nil
	}
	if at := s.at(i); at.gen == tok.Gen() {
		return at.src
	}
	return nil
}

// swap puts src in the place of the source that tok was made for: a connect
// becomes a connection under the same registration.
func (s *slots) swap(tok poller.Token, src source) { s.at(tok.Slot()).src = src }

// remove frees tok's slot and moves its generation on. A token from before is
// stale from here; removing it again does nothing.
func (s *slots) remove(tok poller.Token) {
	if s.find(tok) == nil {
		return
	}
	at := s.at(tok.Slot())
	at.src = nil
	at.gen++
	s.used--
	s.free = append(s.free, tok.Slot())
}

// each calls f with every source; f may remove any.
func (s *slots) each(f func(source)) {
	for _, page := range s.pages {
		for i := range page {
			if src := page[i].src; src != nil {
				f(src)
			}
		}
	}
}

func (s *slots) at(i uint32) *slot { return &s.pages[i/slotPage][i%slotPage] }

func (s *slots) grow() {
	base := uint32(len(s.pages)) * slotPage
	page := new([slotPage]slot)
	for i := range page {
		page[i].gen = 1 // so that no token is zero
	}
	s.pages = append(s.pages, page)
	for i := uint32(slotPage); i > 0; i-- {
		s.free = append(s.free, base+i-1) // the lowest is taken first
	}
}
