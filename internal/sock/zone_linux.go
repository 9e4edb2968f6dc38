package sock

import (
	"os"

	"golang.org/x/sys/unix"
)

// zoneByName asks the kernel for the index of an interface. The ioctl needs a
// socket of any kind.
func zoneByName(name string) (uint32, error) {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return 0, badAddr(name, "no name of an interface")
	}
	fd, err := socket(unix.AF_UNIX)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr); err != nil {
		return 0, os.NewSyscallError("ioctl", err)
	}
	return ifr.Uint32(), nil
}
