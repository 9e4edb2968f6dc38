package conn

// Control calls f with the descriptor, which is open as long as f runs.
func (b *Blocking) Control(f func(fd uintptr)) error {
	if !b.users.enter() {
		return ErrClosed
	}
	defer b.leave()
	f(uintptr(b.fd))
	return nil
}

// RawRead calls f with the descriptor until it returns true; when it returns
// false, RawRead waits until the socket is readable. f must not block. What it
// moves is counted if it tells Moved.
func (b *Blocking) RawRead(f func(fd uintptr) (done bool)) error {
	b.rmu.Lock()
	defer b.rmu.Unlock()
	return b.raw(&b.r, f)
}

// RawWrite does the same for writing.
func (b *Blocking) RawWrite(f func(fd uintptr) (done bool)) error {
	b.wmu.Lock()
	defer b.wmu.Unlock()
	if !b.users.enter() {
		return ErrClosed
	}
	defer b.leave()
	if err := b.awaitFlushed(); err != nil {
		return err
	}
	return b.raw(&b.w, f)
}

func (b *Blocking) raw(g *gate, f func(fd uintptr) bool) error {
	if !b.users.enter() {
		return ErrClosed
	}
	defer b.leave()
	for {
		if s := g.state.Load(); s&(shutGate|expired) == 0 {
			was := g.state.And(^(edge | over))
			if f(uintptr(b.fd)) {
				g.set(edge | was&over) // a hangup is reported once
				return nil
			}
		}
		if err := b.await(g); err != nil {
			return err
		}
	}
}
