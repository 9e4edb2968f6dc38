//go:build !linux

package thread

import "errors"

// Nothing is asked for here. Darwin and the BSDs have no slack to turn off for
// a thread and no slice to ask for; their real-time classes need a Mach call or
// belong to the whole process.
func setSlack() error { return errors.ErrUnsupported }
func setFIFO() error  { return errors.ErrUnsupported }
func setSlice() error { return errors.ErrUnsupported }
func setNice() error  { return errors.ErrUnsupported }
