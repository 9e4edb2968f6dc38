//go:build unix

package poller_test

import (
	"fmt"
	"log"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weir-go/weir/poller"
)

// A reactor in one loop: wait for an edge, find the connection by its token,
// and read until the kernel says that there is nothing more.
func ExamplePoller() {
	p, err := poller.Open()
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()

	// Two connected sockets; the far end plays the client.
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		log.Fatal(err)
	}
	near, far := fds[0], fds[1]
	defer unix.Close(near)
	if err := unix.SetNonblock(near, true); err != nil {
		log.Fatal(err)
	}

	// Slot 0 of our table, given away for the first time.
	conns := []int{near}
	if err := p.Add(near, poller.MakeToken(0, 1)); err != nil {
		log.Fatal(err)
	}

	// The client speaks and leaves.
	_, _ = unix.Write(far, []byte("hello"))
	_ = unix.Close(far)

	events := make([]poller.Event, 64)
	for open := true; open; {
		n, err := p.Wait(events, -1)
		if err != nil {
			log.Fatal(err)
		}
		for _, ev := range events[:n] {
			// A descriptor may appear twice: it may be gone the second time.
			if open && ev.Ready.Has(poller.Readable) {
				open = echo(conns[ev.Token.Slot()])
			}
		}
	}
	// Output:
	// read "hello"
	// end of file
}

// echo reads until EAGAIN, which arms the next edge, or the end.
func echo(fd int) (open bool) {
	var buf [512]byte
	for {
		n, err := unix.Read(fd, buf[:])
		switch {
		case err == unix.EAGAIN:
			return true
		case err != nil || n == 0:
			fmt.Println("end of file")
			return false
		}
		fmt.Printf("read %q\n", buf[:n])
	}
}

// Work from another goroutine: leave it where the waiter looks, then Wake.
func ExamplePoller_Wake() {
	p, err := poller.Open()
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()

	posted := make(chan func(), 16)
	go func() {
		posted <- func() { fmt.Println("posted work runs in the loop") }
		_ = p.Wake()
	}()

	events := make([]poller.Event, 64)
	n, err := p.Wait(events, time.Minute)
	fmt.Println(n, "events,", err)
	(<-posted)()
	// Output:
	// 0 events, <nil>
	// posted work runs in the loop
}
