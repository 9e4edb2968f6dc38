// Package line is the protocol between the benchmark and the servers it measures: one line a word, over the
// server's standard input and output, so that a server in any language can take part.
//
//	server                          benchmark
//	listening 127.0.0.1:41373  ──►  (starts the driver)
//	                           ◄──  burn on
//	ok                         ──►
//	                           ◄──  gc
//	ok                         ──►  (reads the server's resident memory)
//	                           ◄──  goroutines
//	5                          ──►
//	                           ◄──  quit, or the end of input
//	(ends)
//
// What a server cannot do it answers with "no"; the benchmark then leaves that figure out. A server always ends
// when its input ends, so none outlives a benchmark that was killed.
package line

import (
	"bufio"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strconv"

	"github.com/weir-go/weir/bench/internal/proc"
)

// Words of the protocol.
const (
	Listening  = "listening"  // server's first word, followed by host:port
	GC         = "gc"         // collect garbage and give free memory back to the kernel
	BurnOn     = "burn on"    // start 2 goroutines a core that only burn CPU
	BurnOff    = "burn off"   // end them
	Goroutines = "goroutines" // how many there are
	CPU        = "cpu"        // microseconds of CPU time used since the start, user and system
	Quit       = "quit"
	OK         = "ok"
	No         = "no" // the answer to what a server cannot do
)

// Serve announces addr on out and answers the lines of in until quit or the end of in. It returns nil in both
// cases; the caller then ends its process, there is nothing to drain. Words that are not the protocol's are shown to
// more, which are words of one kind of server.
func Serve(in io.Reader, out io.Writer, addr string, more ...func(word string) (answer string, ok bool)) error {
	if _, err := fmt.Fprintln(out, Listening, addr); err != nil {
		return err
	}
	var fire burner
	defer fire.stop()
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if lines.Text() == Quit {
			return nil
		}
		if _, err := fmt.Fprintln(out, answer(lines.Text(), &fire, more)); err != nil {
			return err
		}
	}
	return lines.Err()
}

func answer(word string, fire *burner, more []func(string) (string, bool)) string {
	switch word {
	case GC:
		runtime.GC() // what a sync.Pool holds is let go by the second collection, not by the first
		debug.FreeOSMemory()
		return OK
	case BurnOn:
		fire.start(2 * runtime.NumCPU())
		return OK
	case BurnOff:
		fire.stop()
		return OK
	case Goroutines:
		return strconv.Itoa(runtime.NumGoroutine())
	case CPU:
		used, ok := proc.Own()
		if !ok {
			return No
		}
		return strconv.FormatInt(used.Microseconds(), 10)
	}
	for _, f := range more {
		if answer, ok := f(word); ok {
			return answer
		}
	}
	return No
}
