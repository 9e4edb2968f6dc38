package conn

import "sync/atomic"

// users counts who uses a descriptor, so that close(2) comes once, last, whoever
// is last.
type users struct{ n atomic.Int64 }

const (
	usersClosed  = 1 << 40
	usersRetired = 1 << 50 // closed without giving the descriptor up: see Callback
)

// enter is false after close. A caller who got true must leave.
func (u *users) enter() bool {
	for {
		n := u.n.Load()
		if n >= usersClosed {
			return false
		}
		if u.n.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// close lets nobody in any more; false when it was closed before. The owner,
// who closed it, counts as a user from here and must leave.
func (u *users) close() bool {
	for {
		n := u.n.Load()
		if n >= usersClosed {
			return false
		}
		if u.n.CompareAndSwap(n, n+1+usersClosed) {
			return true
		}
	}
}

// retire is close without giving the descriptor up; false when somebody uses it
// or it is closed.
func (u *users) retire() bool { return u.n.CompareAndSwap(0, usersClosed|usersRetired) }

func (u *users) retired() bool { return u.n.Load()&usersRetired != 0 }

// leave reports whether it was the last one after close.
func (u *users) leave() bool { return u.n.Add(-1) == usersClosed }
