package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// openTerminal opens a pseudo terminal: what is written to the second file is read
// from the first.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no pseudo terminals here:", err)
	}
	t.Cleanup(func() { person.Close() })
	require.NoError(t, unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	return person, program
}

// A person who looks on sees how far it is; the line is gone in the end.
func TestDriveShowsProgressOnATerminal(t *testing.T) {
	server := start(t, "-listen", anyPort)
	person, program := openTerminal(t)
	d := exec.Command(binary, "-drive", server.address(t), "-for", "100ms")
	d.Stdout = program
	require.NoError(t, d.Start())
	program.Close()
	seen, _ := io.ReadAll(person) // ends with an error when the last program has left
	require.NoError(t, d.Wait())
	require.Regexp(t, `\r\x1b\[K  0s of 100ms  [1-9]\d* messages/s  0 failed\r\x1b\[K\r?\n`, string(seen))
}
