package netconn

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// TLSConfig says how a TLSListener is made.
type TLSConfig struct {
	Config *tls.Config   // of all its connections; must be set, and not be changed
	Time   time.Duration // that a handshake may take. 0: 10 s

	// AtOnce is how many connections have a handshake under way or wait for Accept
	// behind it. 0: 256. The others wait in the queue below, which refuses what it
	// has no room for.
	AtOnce int
}

// TLSListener is a net.Listener of *tls.Conn whose handshake is done: who does not
// shake hands in time never reaches Accept, and a peer that is slow in it holds
// nobody up. crypto/tls alone leaves the handshake, and its time, to the first Read.
//
//	Listener ──► AcceptConn ─► a goroutine each, AtOnce of them ─► Accept ──► your server
//
// All methods may be called from any goroutine.
type TLSListener struct {
	cfg   TLSConfig
	under *Listener
	ready chan *tls.Conn
	slots chan struct{}

	life     context.Context // ends the handshakes, and the wait for Accept
	end      context.CancelFunc
	shakes   sync.WaitGroup
	patience time.Duration // leftPatience
	leaving  chan struct{} // closed by Close after Leave
	leave    sync.Once

	done         chan struct{} // closed when all goroutines have ended
	err          error         // why; set before
	failed, late atomic.Uint64
}

// Listen accepts the connections of under, which is the TLSListener's from here.
// The caller closes it.
func (cfg TLSConfig) Listen(under *Listener) *TLSListener {
	if cfg.Time <= 0 {
		cfg.Time = 10 * time.Second
	}
	if cfg.AtOnce <= 0 {
		cfg.AtOnce = 256
	}
	l := &TLSListener{cfg: cfg, under: under, ready: make(chan *tls.Conn), slots: make(chan struct{}, cfg.AtOnce),
		patience: leftPatience, leaving: make(chan struct{}), done: make(chan struct{})}
	l.life, l.end = context.WithCancel(context.Background())
	go l.run()
	return l
}

// run accepts as long as there are slots, and ends when the last handshake has.
func (l *TLSListener) run() {
	defer close(l.done)
	defer l.shakes.Wait()
	for {
		select {
		case l.slots <- struct{}{}:
		case <-l.life.Done():
			l.err = l.under.fail("accept", net.ErrClosed)
			return
		}
		c, err := l.under.AcceptConn()
		if err != nil {
			l.err = err
			return
		}
		l.shakes.Go(func() { l.shake(c) })
	}
}

// shake shakes hands with one and waits until somebody accepts it.
func (l *TLSListener) shake(c *Conn) {
	defer func() { <-l.slots }()
	t := tls.Server(c, l.cfg.Config)
	ctx, cancel := context.WithTimeout(l.life, l.cfg.Time)
	err := t.HandshakeContext(ctx) // which closes c when ctx ends
	late := ctx.Err() == context.DeadlineExceeded
	cancel()
	switch {
	case err == nil:
		if !l.offer(t) {
			c.Close()
		}
		return
	case late:
		l.late.Add(1)
	case l.life.Err() == nil:
		l.failed.Add(1)
	}
	c.Close()
}

// offer waits until somebody accepts a connection, as long as one may be expected
// to.
func (l *TLSListener) offer(t *tls.Conn) bool {
	select {
	case l.ready <- t:
		return true
	case <-l.life.Done():
		return false
	case <-l.leaving:
	}
	late := time.NewTimer(l.patience)
	defer late.Stop()
	select {
	case l.ready <- t:
		return true
	case <-late.C:
		return false
	}
}

// Accept returns the next connection, a *tls.Conn. After Close, or when the
// runtime has closed the socket, its error is net.ErrClosed.
func (l *TLSListener) Accept() (net.Conn, error) {
	select {
	case <-l.life.Done():
		return nil, l.under.fail("accept", net.ErrClosed)
	default:
	}
	select {
	case c := <-l.ready:
		return c, nil
	case <-l.life.Done():
		return nil, l.under.fail("accept", net.ErrClosed)
	case <-l.done:
		return nil, l.err
	}
}

// Close ends the listener below, what waits for Accept, and the handshakes under
// way, and returns when they have ended.
//
// When the listener below has left (Listener.Leave, which package restart calls)
// nobody is to be cut off: Close ends that listener, as that one's Close says, and
// returns. The handshakes under way, and those of whom it had accepted by then, have
// their Time; Accept hands them out, before its error, and whom nobody accepts
// within 5 s is closed.
func (l *TLSListener) Close() error {
	if l.under.left.Load() {
		l.leave.Do(func() { close(l.leaving) })
		return l.under.Close()
	}
	l.end()
	err := l.under.Close()
	<-l.done
	return err
}

// Addr returns the address of the listener below.
func (l *TLSListener) Addr() net.Addr { return l.under.Addr() }

// Failed counts handshakes that came to nothing, but for those that were late.
func (l *TLSListener) Failed() uint64 { return l.failed.Load() }

// Late counts handshakes that took longer than TLSConfig.Time.
func (l *TLSListener) Late() uint64 { return l.late.Load() }
