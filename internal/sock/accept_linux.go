package sock

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Accept takes the next connection from the listener fd and, when peer is not
// nil, fills in who called (zero for Unix sockets). EAGAIN when nobody waits.
// The caller owns nfd.
//
// Errors of the one connection (ECONNABORTED, EPROTO, and on Linux any network
// error that is already pending on it) say nothing about the listener: go on.
// EMFILE, ENFILE, ENOBUFS and ENOMEM leave the connection in the queue.
func Accept(fd int, peer *Peer) (nfd int, err syscall.Errno) {
	// Long enough for both IP families; a longer Unix name is cut, and unused.
	var raw unix.RawSockaddrInet6
	size := uint32(unix.SizeofSockaddrInet6)
	for {
		// Raw: the listener is non-blocking, so the call never waits.
		r, e := uintptr(0), Injected(CallAccept, fd)
		if e == 0 {
			r, _, e = syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd),
				uintptr(unsafe.Pointer(&raw)), uintptr(unsafe.Pointer(&size)),
				unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		}
		if e == 0 {
			if peer != nil {
				peer.setRaw(&raw)
			}
			return int(r), 0
		}
		if e != unix.EINTR {
			return -1, e
		}
	}
}

// setRaw fills p from the kernel's form, whose ports are in network order.
func (p *Peer) setRaw(raw *unix.RawSockaddrInet6) {
	switch raw.Family {
	case unix.AF_INET:
		raw4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(raw))
		p.set4(raw4.Addr, hostPort(raw4.Port))
	case unix.AF_INET6:
		p.set6(raw.Addr, hostPort(raw.Port), raw.Scope_id)
	default:
		*p = Peer{}
	}
}

func hostPort(n uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], n)
	return binary.BigEndian.Uint16(b[:])
}
