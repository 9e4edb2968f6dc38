//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package sock

import (
	"errors"
	"syscall"
	"time"
)

// Nothing of this works on other systems; it lets programs compile that choose
// at run time. Each function fails with errors.ErrUnsupported, or with ENOSYS,
// which errors.Is takes for the same.

const AcceptInherits = false

func Socket(Addr) (int, error)               { return -1, errors.ErrUnsupported }
func Listen(Addr, ListenConfig) (int, error) { return -1, errors.ErrUnsupported }
func Accept(int, *Peer) (int, syscall.Errno) { return -1, syscall.ENOSYS }
func Connect(int, Addr) (bool, error)        { return false, errors.ErrUnsupported }
func ConnectResult(int) error                { return errors.ErrUnsupported }
func LocalAddr(int) (Addr, error)            { return Addr{}, errors.ErrUnsupported }
func RemoteAddr(int) (Addr, error)           { return Addr{}, errors.ErrUnsupported }

func Recv(int, []byte) (int, syscall.Errno)   { return 0, syscall.ENOSYS }
func Send(int, []byte) (int, syscall.Errno)   { return 0, syscall.ENOSYS }
func Sendv(int, []Iovec) (int, syscall.Errno) { return 0, syscall.ENOSYS }

func ShutdownRead(int) error  { return errors.ErrUnsupported }
func ShutdownWrite(int) error { return errors.ErrUnsupported }
func Close(int) error         { return errors.ErrUnsupported }
func Dup(int) (int, error)    { return -1, errors.ErrUnsupported }
func Pair() ([2]int, error)   { return [2]int{-1, -1}, errors.ErrUnsupported }
func Reserve() (int, error)   { return -1, errors.ErrUnsupported }
func InUse() (int, error)     { return 0, errors.ErrUnsupported }
func SetNonblock(int) error   { return errors.ErrUnsupported }
func SetCloseOnExec(int)      {}
func TakeError(int) error     { return errors.ErrUnsupported }
func isOpen(int) error        { return errors.ErrUnsupported }

func Limit() (soft, hard uint64, err error) { return 0, 0, errors.ErrUnsupported }
func IsListening(int) (bool, error)         { return false, errors.ErrUnsupported }
func IsStream(int) (bool, error)            { return false, errors.ErrUnsupported }

func SetNoDelay(int, bool) error              { return errors.ErrUnsupported }
func SetKeepAlive(int, KeepAlive) error       { return errors.ErrUnsupported }
func SetUserTimeout(int, time.Duration) error { return errors.ErrUnsupported }
func SetLinger(int, time.Duration) error      { return errors.ErrUnsupported }
func SetReadBuffer(int, int) error            { return errors.ErrUnsupported }
func SetWriteBuffer(int, int) error           { return errors.ErrUnsupported }
func ReadBuffer(int) (int, error)             { return 0, errors.ErrUnsupported }
func WriteBuffer(int) (int, error)            { return 0, errors.ErrUnsupported }

func Bind(int, Addr) error { return errors.ErrUnsupported }
func Unlink(Addr)          {}
func Waiting(int) bool     { return false }
