//go:build freebsd || netbsd || openbsd || dragonfly

package sock

// maxScan bounds the search. The kernel gives the lowest free number, so what
// a process opens stands at the bottom.
const maxScan = 1 << 16

// inUse tries each number: /dev/fd is a fixed list on these systems unless
// somebody mounted fdescfs.
func inUse() (int, error) {
	soft, _, err := Limit()
	if err != nil {
		return 0, err
	}
	n := 0
	for fd := range int(min(soft, maxScan)) {
		if isOpen(fd) == nil {
			n++
		}
	}
	return n, nil
}
