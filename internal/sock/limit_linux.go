package sock

import "golang.org/x/sys/unix"

const fdDir = "/proc/self/fd"

// inUse asks for the size of the directory, which is the number of open
// descriptors since Linux 6.2 and 0 before; it works with none left.
func inUse() (int, error) {
	var st unix.Stat_t
	if unix.Stat(fdDir, &st) == nil && st.Size > 0 {
		return int(st.Size), nil
	}
	return countEntries(fdDir)
}
