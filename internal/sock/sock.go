// Package sock makes, tunes, reads and writes stream sockets (TCP over IPv4
// and IPv6, Unix) without package net.
//
//	           Socket ─► Connect ─► ConnectResult ─┐
//	                                               ├─► Recv, Send, Sendv ─► ShutdownWrite ─► Close
//	Listen ─► Accept ──────────────────────────────┘
//
// It works on plain descriptors and keeps no state: nothing here waits, counts
// or remembers, that is the work of the packages above. Every descriptor it
// returns is non-blocking and close-on-exec. All functions may be called from
// any goroutine; that a descriptor is not closed under a call in flight is the
// caller's duty, because the kernel reuses the number at once.
//
// Accept, Recv, Send and Sendv are the hot path: they allocate nothing, return
// a syscall.Errno instead of an error, and do not tell the Go scheduler about
// the system call where the system lets them, because a call that cannot wait
// needs nobody to take over. So the descriptor must be non-blocking: on a
// blocking one they would hold up the scheduler. Everything else returns
// errors made by os.NewSyscallError.
//
// IPv6 zones are interface indices here. Addresses that come from the kernel
// carry the index in digits ("fe80::1%2"); addresses that go to the kernel may
// carry digits, on Linux also the name of an interface.
//
// What a system must supply, one file for each mechanism:
//
//	Recv, Send, Sendv        io_raw.go, io_call.go, io_race.go
//	Waiting                  waiting_raw.go, waiting_call.go
//	Accept                   accept_linux.go, accept_flags.go, accept_fcntl.go
//	socket, pair             open_flags.go, open_darwin.go
//	options and constants    tune_linux.go, tune_bsd.go, tune_darwin.go, tune_openbsd.go
//	zoneByName               zone_linux.go, zone_digits.go
//	inUse                    limit_linux.go, limit_darwin.go, limit_bsd.go
//
// Systems other than Linux, macOS and the BSDs get other.go: it compiles and
// returns errors.ErrUnsupported.
package sock

import (
	"errors"
	"time"
)

// MaxIO is the most that one Recv, Send or Sendv moves, in bytes. The
// scheduler's processor is held during the call, so the copy must end soon.
// A count below the length asked for therefore only means "the kernel had no
// more" when the length was at most MaxIO.
const MaxIO = 256 << 10

// MaxIovecs is the most pieces that one Sendv takes (IOV_MAX).
const MaxIovecs = 1024

// defaultBacklog is above every system's own limit (somaxconn), which then
// rules; it still fits the 16 bits that old kernels keep it in.
const defaultBacklog = 1<<16 - 1

var (
	// ErrAddr says that an address is no address: bad text for ParseAddr, or
	// an Addr that holds neither an IP address nor a path.
	ErrAddr = errors.New("sock: bad address")

	// ErrInProgress is ConnectResult's answer while the handshake goes on.
	ErrInProgress = errors.New("sock: connect in progress")

	// ErrListenFDs says that the LISTEN_ variables contradict themselves.
	ErrListenFDs = errors.New("sock: bad LISTEN_FDS environment")
)

// KeepAlive says how a silent peer is probed. The zero value switches probing
// on with the system's timing (on Linux a first probe after two hours).
//
// Times are rounded up to whole seconds. OpenBSD has one timing for the whole
// system and ignores Idle, Interval and Count.
type KeepAlive struct {
	Disable  bool          // no probes at all
	Idle     time.Duration // silence before the first probe; 0 = the system's
	Interval time.Duration // between probes; 0 = the system's
	Count    int           // unanswered probes that end the connection; 0 = the system's
}

// ListenConfig is what Listen sets before it listens. The zero value is fine.
//
// What is set on the listener is inherited by accepted sockets where
// AcceptInherits says so; elsewhere it has to be set on each of them.
type ListenConfig struct {
	Backlog     int       // connections waiting for Accept; 0 = the most the system allows (somaxconn)
	ReusePort   bool      // share the port; Linux, FreeBSD and DragonFly deal connections out to the listeners; ignored for Unix
	V6Only      bool      // [::] takes no IPv4; false = it does, where the system can (not on OpenBSD and DragonFly)
	NoDelay     bool      // TCP_NODELAY; ignored for Unix
	KeepAlive   KeepAlive // zero = on with the system's timing; ignored for Unix
	ReadBuffer  int       // SO_RCVBUF in bytes; 0 = the system's
	WriteBuffer int       // SO_SNDBUF in bytes; 0 = the system's
	UnixMode    uint32    // permission bits of the socket file; 0 = left to the umask
}
