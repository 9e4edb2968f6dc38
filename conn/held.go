package conn

import (
	"errors"
	"syscall"

	"github.com/weir-go/weir/bounds"
	"github.com/weir-go/weir/internal/sock"
)

// What a runtime holds is counted by Config.Bounds, if there are any. A
// descriptor is counted before the kernel makes it, and given back where it is
// closed: in drop, by the last user of a Blocking, by a connect that fails, by an
// accept that makes no connection; or where it becomes somebody else's, in Detach.
//
//	take ─► socket, accept ─► newConn ─► close(2) ─► give
//	  └ refused: no call        the class stays with the Conn

// take asks for a descriptor. The error is a *bounds.Refusal.
func (rt *Runtime) take(class bounds.Class) error {
	if b := rt.cfg.Bounds; b != nil {
		return b.Take(class)
	}
	return nil
}

// give gives one back that is closed, or was not opened.
func (rt *Runtime) give(class bounds.Class) {
	if b := rt.cfg.Bounds; b != nil {
		b.Give(class)
	}
}

// force counts one that somebody else has opened.
func (rt *Runtime) force(class bounds.Class) {
	if b := rt.cfg.Bounds; b != nil {
		b.Force(class)
	}
}

// closeFD closes a counted descriptor.
func (rt *Runtime) closeFD(fd int, class bounds.Class) {
	sock.Close(fd)
	rt.give(class)
}

// wanted tells the bounds what the kernel did not have, if that is what err says.
func (rt *Runtime) wanted(err error) {
	b := rt.cfg.Bounds
	if b == nil {
		return
	}
	switch {
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		b.Exhausted(bounds.Descriptors)
	case errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.ENOMEM):
		b.Exhausted(bounds.Memory)
	}
}

// hard reports whether the bounds leave nothing but admin's.
func (rt *Runtime) hard() bool {
	b := rt.cfg.Bounds
	return b != nil && b.Verdict().State == bounds.Hard
}

// watchLoads has the bounds watch the byte budget and the pool.
func (rt *Runtime) watchLoads() error {
	b := rt.cfg.Bounds
	if b == nil {
		return nil
	}
	for name, load := range map[bounds.Resource]func() float64{
		bounds.Memory:     func() float64 { return float64(rt.budget.used.Load()) / float64(rt.budget.limit) },
		bounds.Goroutines: func() float64 { return float64(rt.working.Load()) / float64(rt.cfg.PoolSize) },
	} {
		stop, err := b.Watch(name, load)
		if err != nil {
			rt.unwatchLoads()
			return err
		}
		rt.unwatch = append(rt.unwatch, stop)
	}
	return nil
}

func (rt *Runtime) unwatchLoads() {
	rt.mu.Lock()
	all := rt.unwatch
	rt.unwatch = nil
	rt.mu.Unlock()
	for _, stop := range all {
		stop()
	}
}

// classOr is class, or what it stands for when it is zero.
func classOr(class, unset bounds.Class) bounds.Class {
	if class == 0 {
		return unset
	}
	return class
}
