package main

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-go/weir/internal/ports"
)

func TestDrives(t *testing.T) {
	p := start(t, "-listen", anyPort)
	var out string
	for _, window := range []string{"100ms", "1s", "10s"} { // a busy machine may let nothing through in the first
		d := start(t, "-drive", p.address(t), "-conns", "5", "-size", "100", "-pipeline", "3", "-for", window)
		require.Equal(t, 0, d.code(), "%s", d)
		if out = d.String(); !strings.Contains(out, "messages  0 in") {
			break
		}
	}
	require.Regexp(t, `rate +[1-9]\d* messages/s, [1-9][\d.]* .?B/s each way`, out)
	require.Regexp(t, `latency +p50 \S+s  p99 \S+s  p99.9 \S+s  max \S+s`, out)
	require.Regexp(t, `messages +[1-9]\d* in .*, every byte compared`, out)
	require.Regexp(t, `failed +0 connections, wrong bytes on 0`, out)
	require.NotContains(t, out, "\r", "no progress line: nobody is looking")
	p.stop(t)
	require.Regexp(t, `total: (5|10|15) connections`, p.String())
}

func TestDrivesAtARate(t *testing.T) {
	p := start(t, "-listen", anyPort)
	d := start(t, "-drive", p.address(t), "-conns", "5", "-rate", "1000", "-for", "100ms")
	require.Equal(t, 0, d.code(), "%s", d)
}

func TestDriveFindsWrongBytes(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				m := make([]byte, 64)
				for n := 0; ; n++ {
					if _, err := io.ReadFull(c, m); err != nil {
						return
					}
					if n == 10 {
						m[7] ^= 1
					}
					c.Write(m)
				}
			}()
		}
	}()
	d := start(t, "-drive", l.Addr().String(), "-conns", "2", "-for", "1h")
	require.Equal(t, 1, d.code(), "it doesn't go on when no connection is left")
	require.Contains(t, d.String(), "2 connections gave wrong bytes back")
	require.Contains(t, d.String(), "wrong bytes on 2")
}

func TestDriveSaysThatNobodyListens(t *testing.T) {
	address := ports.Hold(t).String()
	d := start(t, "-drive", address, "-for", "1h")
	require.Equal(t, 1, d.code())
	require.Contains(t, d.String(), "nobody listens there")
	require.Contains(t, d.String(), "-listen tcp://"+address)
}

func TestVolumeForPeople(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 999_949: "999.9 kB", 999_999: "1.0 MB",
		8_400_000: "8.4 MB", 1 << 63: "9.2 EB",
	} {
		require.Equal(t, want, volume(n))
	}
}
