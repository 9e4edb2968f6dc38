//go:build !linux

package sock

// zoneByName refuses: asking for an interface by name needs more here than one
// ioctl.
func zoneByName(name string) (uint32, error) {
	return 0, badAddr(name, "a zone must be an interface index in digits on this system")
}
