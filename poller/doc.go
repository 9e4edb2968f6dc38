// Package poller tells which descriptors are ready: epoll and kqueue behind
// six verbs, Open, Add, Remove, Wait, Wake, Close. It reads and writes nothing,
// owns no connection and starts no goroutine. This comment is a short course in
// how such a thing works; [Poller] has the rules in brief and the example shows
// a whole reactor.
//
// # The question
//
// A server with ten thousand connections has, at any moment, a few dozen with
// something to read. Asking each with read(2) costs ten thousand system calls to
// find them; a thread blocked in read(2) for each costs ten thousand stacks. The
// kernel knows the answer, because it was the kernel that put the bytes there.
// So it keeps two lists:
//
//	              one Poller = one epoll instance (or kqueue)
//
//	Add(fd, tok)    interest list: everything we asked about, with its token
//	──────────────► ┌──────┬──────┬──────┬──────┬──────┐
//	                │ fd 5 │ fd 6 │ fd 8 │ fd 9 │ bell │
//	                └──┬───┴──────┴──────┴──┬───┴──────┘
//	bytes for 5,       │  the socket calls  │
//	then for 9 ───────►│  its watchers back │
//	                   ▼                    ▼
//	                ready list: who has news, first come first served
//	                ┌──────┬──────┐
//	                │ fd 5 │ fd 9 │
//	                └──┬───┴──────┘
//	Wait(evs)          ▼
//	◄────────────── up to len(evs) from the front: what it is ready for now, and the token
//
// Wait costs what is ready, not what is watched; that is the whole trick. What
// does not fit into evs stays at the front and comes first next time, so nobody
// starves, however small evs is.
//
// # Level and edge
//
// When is a descriptor put on the ready list? There are two answers.
//
//	bytes held   0    5    5    2    2    0    0    3    3
//	             ─────┬─────────┬─────────┬─────────┬──────────► time
//	              5 arrive   we read 3  we read 2  3 arrive
//
//	level             ●····●····●····●              ●····●··    while there are any
//	edge              ●                             ●           when some arrive
//
// Level-triggered means: every Wait repeats it until the bytes are gone. It is
// forgiving, but what one is not interested in at the moment has to be masked
// with another system call, and masked again, and back. A writable socket is
// writable nearly always: forget to mask it and Wait never sleeps again.
//
// Edge-triggered means: said once. This package knows nothing else. Both
// directions are registered once, for life, and there is no call to change it.
// The price is a duty. An edge is news, not a state; who has it must act until
// the kernel says EAGAIN, or remember that he did not:
//
//	readable = true                     // the edge came
//	for readable && budget > 0 {
//		n, err := read(fd, buf)
//		readable = err != EAGAIN        // only now will there be another edge
//	}
//
// Edges may also be spurious: a byte that arrives while others are waiting is
// one more, and an event of one direction tends to bring the other with it. All
// that a spurious edge may cost is a read that says EAGAIN.
//
// # Hangup is not closed
//
//	peer calls            Wait says                         what still works
//	shutdown(SHUT_WR)     readable|hangup                   read to the end, write on
//	close                 the same, TCP cannot tell yet     read to the end; writing brings the reset
//	close, with a reset   readable|writable|hangup|failed   nothing; SO_ERROR says why
//
// So a hangup means: read until read(2) returns 0. It says neither that there
// is nothing left to read nor that nobody reads what is written.
//
// # What one turn costs
//
// Medians of ten runs, Linux 6.18 and Go 1.26 on two shared virtual cores, of
//
//	go test -run '^$' -bench . -count 10 ./poller
//
//	Wait(0), nothing ready               Look            235 ns    1 system call
//	the same system call alone           LookBare        195 ns    1
//	Wait, 1 ready                        Ready/1         590 ns    1
//	Wait, 64 ready                       Ready/64      7,300 ns    1, that is 115 ns an event
//	Wake, another one pending            WakeCoalesced     7 ns    0
//	Wake, and the Wait that hears it     WakeWait        900 ns    2
//	Wake a sleeper, until he answers     WakeAsleep   55,000 ns    two changes of threads
//
// Trust the ratios; your machine has other figures. Nearly all of it is the
// kernel's. Three lessons: a Wait for one event costs five times what an event
// costs in a batch, so hand over a slice of some size; a thread that has to be
// woken costs as much as ninety turns that find work waiting; and the cheapest
// wake-up is the one not made.
//
// The scheduler of Go has a part in it. A system call that may block has to be
// announced, so that other goroutines can have the processor: Wait does that
// when it may sleep. Wait(evs, 0) cannot block and does not (on Linux; elsewhere
// the system's library is in between). A caller that has just made goroutines
// runnable does well to call runtime.Gosched before it sleeps, otherwise they
// wait until the scheduler's monitor takes the processor away from the sleeper.
//
// For who sleeps most of the time there is a cheaper way to do it. A goroutine in
// a system call keeps its processor until the monitor has taken it, and until
// then the monitor is awake too: sixty short sleeps of it for an event that comes
// alone. A goroutine that waits for a socket of package net has given its
// processor away. [Poller.Park] has Wait do the same, on Linux: the runtime's
// epoll watches ours, for an epoll instance is a file that can be ready like any
// other, and the goroutine that it wakes asks ours who it was.
//
//	nothing to do:   Wait                       parked
//	the thread       in epoll_pwait             gone; one of the runtime's waits for all
//	the processor    kept, then taken           given away
//	an event         wakes the thread, which    wakes the runtime's thread, which
//	                 needs a processor again    has the goroutine run
//
// What it costs: one more look for each sleep, and that the runtime looks into
// its own epoll only every 10 ms or more while all processors are busy.
//
// Timeouts are nanoseconds where the kernel can count them (epoll_pwait2, since
// Linux 5.11, and kqueue), else milliseconds rounded up: to wake late is right,
// to wake early is to spin until it is time. Even with nanoseconds the kernel
// adds its timer slack, 50 microseconds unless the thread asked for less.
//
// # The lost wake-up
//
// A goroutine that sleeps in Wait does not see what another one puts into its
// queue. Wake ends the sleep: it writes to an eventfd (or triggers an
// EVFILT_USER, or writes to a pipe) which is on the interest list like any
// socket. Ten producers need one ring, not ten, hence a flag: who finds it set
// leans on the ring that is on its way. When must the waiter take the flag back?
//
//	wrong: drain, then clear            right: clear, then drain
//
//	waiter          producer            waiter          producer
//	drain: empty                        clear
//	                put work            drain: empty
//	                flag is set:                        put work
//	                no ring                             flag is clear: ring
//	clear                               Wait ◄──────────────┘
//	Wait … for ever, with
//	work in the queue
//
// Clear first costs at worst a Wait that returns for nothing. Here the flag is
// cleared inside Wait, before it returns, so a caller can only do it right: put,
// then Wake; Wait, then drain. Wake and Wait are also a synchronisation, like a
// channel: what was written before Wake can be seen after Wait.
//
// # The number that came back
//
// Descriptors are small numbers, and close(2) gives them away again:
//
//	Wait returns         fd 5: hangup      fd 9: readable
//	handling fd 5        close(9)          (5 and 9 were two halves of a proxy)
//	                     accept() = 9      another client, same number
//	handling fd 9        "readable"        … but that was said of the one before
//
// This is the ABA problem: equal numbers, another file. Looking the connection
// up by number, the event of the dead one reaches the living. So the kernel is
// not given the number to keep, but a token: the connection's place in a table,
// and how often that place was given away. Giving it away again moves the
// generation on, and it must move on before close(2), not after:
//
//	Token = generation<<32 | slot
//
//	if table[ev.Token.Slot()].gen != ev.Token.Gen() {
//		stale++ // of an earlier tenant
//		continue
//	}
//
// There is a second way to meet a ghost. The kernel watches the open file, not
// the number. If a dup of it lives, in this process or a child, close(2) ends
// nothing: events go on, and the number that could remove them is gone. Such a
// descriptor has to be removed before it is closed or handed out. Its events
// carry the old token, too.
//
// The Poller has the same trouble with its own descriptors, see state.go.
//
// # The rest
//
// [Poller.Wait] belongs to one goroutine at a time; every other method may be
// called by anyone, at any time. The contract for back-ends stands in poller.go.
// To add one is to write one file and to pass the tests in conformance_test.go.
//
// Back-ends: Linux (epoll), and with 64 bits Darwin, DragonFly BSD, FreeBSD,
// NetBSD, OpenBSD (kqueue). Elsewhere the package compiles and [Open] returns
// errors.ErrUnsupported.
package poller
