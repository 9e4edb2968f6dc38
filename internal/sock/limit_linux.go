package sock

import "golang.org/x/sys/unix"

const fdDir = "/proc/self/fd"

// countByStat asks for the size of the directory, which is the number of open
// descriptors since Linux 6.2 and 0 before. 0 = not known.
func countByStat() int {
	var st unix.Stat_t
	if unix.Stat(fdDir, &st) != nil {
		return 0
	}
	return int(st.Size)
}
