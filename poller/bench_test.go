//go:build unix

package poller

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// What a turn costs. The figures in the package comment are from
//
//	go test -run '^$' -bench . -count 10 ./poller

// An idle look: the price of asking before sleeping.
func BenchmarkLook(b *testing.B) {
	p := open(b, kinds[0])
	evs := make([]Event, 64)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = p.Wait(evs, 0)
	}
}

// One byte makes n registrations ready at once, because they are dups of one
// socket. ns/wait is the Wait alone, with 2 readings of the clock in it; ns/op
// has the write and the read beside it.
func BenchmarkReady(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := open(b, kinds[0])
			s := newPair(b)
			evs := make([]Event, 2*n)
			s.add(p, 0)
			for i := 1; i < n; i++ {
				fd, err := unix.Dup(s.ours)
				ok(b, err)
				defer unix.Close(fd)
				ok(b, p.Add(fd, Token(i)))
				await(b, p, Token(i), Writable)
			}
			octet := []byte{'x'}
			var events, waits, inWait int
			b.ReportAllocs()
			for b.Loop() {
				_, _ = unix.Write(s.theirs, octet)
				for got := 0; got < n; waits++ {
					began := clock()
					k, _ := p.Wait(evs, -1)
					inWait += int(clock() - began)
					got += k
					events += k
				}
				_, _ = unix.Read(s.ours, octet)
			}
			b.ReportMetric(float64(inWait)/float64(waits), "ns/wait")
			b.ReportMetric(float64(inWait)/float64(events), "ns/event")
		})
	}
}

// Another Wake is pending: no system call.
func BenchmarkWakeCoalesced(b *testing.B) {
	p := open(b, kinds[0])
	ok(b, p.Wake())
	b.ReportAllocs()
	for b.Loop() {
		_ = p.Wake()
	}
}

// A Wake and the Wait that hears it, without a change of threads.
func BenchmarkWakeWait(b *testing.B) {
	p := open(b, kinds[0])
	evs := make([]Event, 64)
	b.ReportAllocs()
	for b.Loop() {
		_ = p.Wake()
		_, _ = p.Wait(evs, -1)
	}
}

// There and back: a goroutine asleep in Wait is woken and answers over a
// channel.
func BenchmarkWakeAsleep(b *testing.B) {
	p, err := Open()
	ok(b, err)
	answer := make(chan struct{}) // closed with the poller
	go func() {
		defer close(answer)
		evs := make([]Event, 64)
		for {
			if _, err := p.Wait(evs, -1); err != nil {
				return
			}
			answer <- struct{}{}
		}
	}()
	b.ReportAllocs()
	for b.Loop() {
		_ = p.Wake()
		<-answer
	}
	ok(b, p.Close())
	for range answer {
	}
}
