package conn

import (
	"github.com/weir-go/weir/internal/sock"
	"github.com/weir-go/weir/timer"
)

// enter asks the door for a connection.
func (ln *Listener) enter(peer sock.Peer, now timer.Time) error {
	if ln.guard == nil {
		return nil
	}
	return ln.guard.Enter(peer.Addr().IP.Addr(), now)
}

// leave counts one that has ended, or did not come to be.
func (ln *Listener) leave(peer sock.Peer) {
	ln.open.Add(-1)
	if ln.guard != nil {
		ln.guard.Leave(peer.Addr().IP.Addr(), timer.Now())
	}
}
