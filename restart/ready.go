package restart

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Ready says that this process accepts on all its sockets. What was inherited and
// nobody has asked for is closed, or its peers would wait for ever. It returns
// when the predecessor, if there is one, does not accept any more, or has died. An
// error says that a service manager could not be told; the process serves all the
// same. Calling it again does nothing.
func (s *Sockets) Ready() error {
	s.mu.Lock()
	parent := s.parent
	again := s.ready || s.closed
	s.parent, s.ready = nil, true
	s.drop()
	s.mu.Unlock()
	if again {
		return nil
	}
	if parent != nil {
		parent.SetDeadline(time.Now().Add(parentPatience))
		greet(parent)
		parent.Close()
	}
	return tellManager(os.Getenv("NOTIFY_SOCKET"), fmt.Sprintf("READY=1\nMAINPID=%d", os.Getpid()), managerPatience)
}

// managerPatience bounds how long a service manager may take to read what it was
// told before: systemd does so at once, unless it hangs.
const managerPatience = 5 * time.Second

// parentPatience bounds how long the predecessor may take to stop accepting, which
// are some system calls: it may have been stopped, as a debugger does. Then both
// accept for longer, which does no harm.
const parentPatience = 30 * time.Second

// greet is the exchange with the predecessor. If that has died in between, all its
// sockets are here; if it has given this process up it has killed it.
func greet(parent io.ReadWriter) {
	if _, err := parent.Write([]byte{ready}); err == nil {
		io.ReadFull(parent, make([]byte, 1)) // goOn
	}
}

// tellManager sends systemd a message (sd_notify(3)), if it has asked for any.
func tellManager(to, message string, patience time.Duration) error {
	if to == "" {
		return nil
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	unix.CloseOnExec(fd)
	limit := unix.NsecToTimeval(patience.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	err = unix.Sendto(fd, []byte(message), 0, &unix.SockaddrUnix{Name: to})
	return os.NewSyscallError("sendto", err)
}
