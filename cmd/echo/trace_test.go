package main

import (
	"io"
	"net"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTraceShowsALife(t *testing.T) {
	p := start(t, "-listen", anyPort, "-loops", "1", "-v")
	c := dial(t, "tcp", p.address(t))
	say(t, c, "hello")
	c.(*net.TCPConn).CloseWrite()
	io.ReadAll(c)
	p.await(t, `closed`)
	p.stop(t)

	// One line an event, columns aligned: time, loop, connection, what.
	last := 0
	for _, want := range []string{
		`\d+\.\d +\w+ +readable \(not a connection.*`,
		`\d+\.\d +opened +from 127\.0\.0\.1:\d+`,
		`turn +\d events? in \S+s`,
		`\d+\.\d +\w+ +readable.*`,
		`\d+\.\d +read +5 bytes`,
		`\d+\.\d +wrote +5 bytes`,
		`\d+\.\d +closed +the peer has finished \(end of stream\)`,
	} {
		re := regexp.MustCompile(`(?m)^ +\d+\.\d{6} +0 +` + want + `$`)
		found := re.FindStringIndex(p.String()[last:])
		require.NotNil(t, found, "no %q after byte %d of\n%s", want, last, p)
		last += found[1]
	}
}

// A terminal that is slower than the loops costs lines, and the loops nothing.
func TestTraceNeverBlocks(t *testing.T) {
	events := newTracer(true)
	trace := events.trace()
	for range traceQueue + 100 { // nobody reads
		trace.Turn(0, 1, 0)
	}
	var out strings.Builder
	events.start(&out)
	events.close()
	require.Contains(t, out.String(), "100 events are not shown")
	require.Equal(t, traceQueue, strings.Count(out.String(), "1 event in"))
}

func TestNoTraceUnlessAsked(t *testing.T) {
	events := newTracer(false)
	require.Nil(t, events.trace())
	events.start(io.Discard)
	events.close()
}
