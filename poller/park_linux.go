//go:build linux

package poller

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// parking is how a Wait sleeps without a thread: the goroutine waits in the poller
// of Go's runtime, as one does that reads from a socket of package net.
//
//	sockets ──► our epoll ──► outer ──► the runtime's ──► the goroutine looks into ours
//	                      ╎
//	                      in outer only while parking is on
//
// The runtime watches what it was given until that is closed. If it watched our
// epoll, each edge would be one of the runtime's too, and a thread of its woken
// for nothing whenever the waiter is awake anyway. So there is a third one
// between them, whose interest list has ours, or nothing.
type parking struct {
	on    bool
	in    bool // outer has our epoll
	stays bool // and keeps it, masked, when parking is off
	outer int
	file  *os.File // outer's; nil before the first time
	raw   syscall.RawConn
	look  func(uintptr) bool // k.look, made once

	// deadline is the file's on clock, 0 for none. It is changed only when it is too
	// late: one that comes early costs a look.
	deadline time.Duration

	// What the look of this wait found.
	room  []Event
	n     int
	woken bool
	err   error
}

// The runtime's timers come up to a millisecond late, and the monitor that looks
// at them when all processors are taken is slower still. So the end of a Wait
// is slept in the kernel.
const exactly = ParkLeast / 2

// A longer timeout is shortened, Wait sleeps the rest: its end would be beyond what
// a Duration can say.
const longest = 365 * 24 * time.Hour

// long is how long it may take to take our epoll in if that is to be done again.
const long = 100 * time.Microsecond

// parks turns parking on or off. Owned by the waiter.
func (k *kernel) parks(on bool) error {
	p := &k.park
	if on == p.on {
		return nil
	}
	if p.file == nil {
		if err := p.open(); err != nil {
			return err
		}
		p.look = k.look
	}
	if err := p.watch(k.epfd, on); err != nil {
		return os.NewSyscallError("epoll_ctl", err)
	}
	p.on = on
	return nil
}

// watch has outer see edges of epfd, or no more. None is missed when it begins
// to: the first thing a Wait does is to look.
func (p *parking) watch(epfd int, on bool) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET}
	switch {
	case !on && !p.stays:
		p.in = false
		return unix.EpollCtl(p.outer, unix.EPOLL_CTL_DEL, epfd, &ev)
	case !on:
		ev.Events = 0 // EPOLLERR and EPOLLHUP are left, which an epoll never has
		return unix.EpollCtl(p.outer, unix.EPOLL_CTL_MOD, epfd, &ev)
	case p.in:
		return unix.EpollCtl(p.outer, unix.EPOLL_CTL_MOD, epfd, &ev)
	}
	began := clock()
	err := unix.EpollCtl(p.outer, unix.EPOLL_CTL_ADD, epfd, &ev)
	p.in, p.stays = err == nil, clock()-began > long
	return err
}

// open makes outer and has the runtime watch it.
func (p *parking) open() error {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // what NewFile knows a pollable file by
		_ = unix.Close(fd)
		return os.NewSyscallError("fcntl", err)
	}
	file := os.NewFile(uintptr(fd), "epoll")
	raw, err := file.SyscallConn()
	if err == nil {
		err = file.SetReadDeadline(time.Time{}) // an error when the runtime does not watch it
	}
	if err != nil {
		_ = file.Close()
		return err
	}
	p.outer, p.file, p.raw = fd, file, raw
	return nil
}

// close is for the last one out.
func (p *parking) close() {
	if p.file != nil {
		_ = p.file.Close()
	}
}

// parked is wait for a goroutine that parks. It may return before its time, and
// with nothing, as a Wait that a signal has interrupted.
func (k *kernel) parked(evs []Event, timeout time.Duration) (n int, woken bool, err error) {
	p := &k.park
	if err := p.until(timeout); err != nil {
		return 0, false, err
	}
	p.room, p.n, p.woken, p.err = evs, 0, false, nil
	err = p.raw.Read(p.look)
	p.room = nil
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.deadline = 0
		err = p.file.SetReadDeadline(time.Time{})
	}
	if p.err != nil {
		err = p.err
	}
	return p.n, p.woken, err
}

// look is called by raw.Read, in the waiter's goroutine: once before it parks, and
// each time that the runtime has seen an edge.
func (k *kernel) look(uintptr) (found bool) {
	p := &k.park
	p.n, p.woken, p.err = k.poll(p.room, 0)
	return p.n > 0 || p.woken || p.err != nil
}

// until has the file wake the waiter before timeout is over.
func (p *parking) until(timeout time.Duration) error {
	if timeout < 0 {
		return nil
	}
	at := clock() + min(timeout, longest) - exactly
	if p.deadline != 0 && p.deadline <= at {
		return nil
	}
	p.deadline = at
	return p.file.SetReadDeadline(start.Add(at))
}
