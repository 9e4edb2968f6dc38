package redis

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/idem"
	"github.com/weir-go/weir/internal/await"
)

const long = 30 * time.Second // bounds waits that end soon unless something is broken

// puppet is a server that answers what the test says, when it says.
type puppet struct {
	*testing.T
	ln   net.Listener
	here net.Conn
	in   *bufio.Reader
}

func startPuppet(t *testing.T, cfg Config) (*puppet, *shared) {
	t.Helper()
	rt, err := conn.Start(conn.Config{Loops: 1})
	fatal(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	fatal(t, err)
	cfg.Runtime, cfg.Addrs, cfg.Timeout = rt, []string{ln.Addr().String()}, long
	s := newShared(cfg)
	t.Cleanup(func() {
		s.close()
		ln.Close()
		rt.Close()
	})
	return &puppet{T: t, ln: ln}, s
}

func fatal(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// accept takes the next connection.
func (p *puppet) accept() {
	p.Helper()
	fatal(p, p.ln.(*net.TCPListener).SetDeadline(time.Now().Add(long)))
	c, err := p.ln.Accept()
	fatal(p, err)
	fatal(p, c.SetDeadline(time.Now().Add(long)))
	p.here, p.in = c, bufio.NewReader(c)
	p.Cleanup(func() { c.Close() })
}

// hear reads commands, and checks that they end with those words.
func (p *puppet) hear(last ...string) {
	p.Helper()
	for _, want := range last {
		var head int
		line, err := p.in.ReadString('\n')
		fatal(p, err)
		fmt.Sscanf(line, "*%d", &head)
		word := ""
		for range head {
			line, err = p.in.ReadString('\n')
			fatal(p, err)
			n := 0
			fmt.Sscanf(line, "$%d", &n)
			b := make([]byte, n+2)
			_, err = io.ReadFull(p.in, b)
			fatal(p, err)
			word = string(b[:n])
		}
		if word != want {
			p.Fatalf("heard %q, want %q", word, want)
		}
	}
}

func (p *puppet) say(s string) {
	p.Helper()
	_, err := io.WriteString(p.here, s)
	fatal(p, err)
}

// asked is a question on its way.
type asked struct {
	text string
	err  error
}

func askFor(ctx context.Context, s *shared, word string) chan asked {
	got := make(chan asked, 1)
	go func() {
		k := newCall()
		k.out = appendWord(appendWord(appendHead(k.out, 2), "ECHO"), word)
		r, err := s.ask(ctx, k)
		if err != nil {
			got <- asked{err: err}
			return
		}
		defer r.release()
		got <- asked{text: r.text(0)}
	}()
	return got
}

func (p *puppet) gets(c chan asked, want string) {
	p.Helper()
	if a := <-c; a.err != nil || a.text != want {
		p.Fatalf("%.80q, %v, want %q", a.text, a.err, want)
	}
}

func (p *puppet) fails(c chan asked, want error) {
	p.Helper()
	if a := <-c; !errors.Is(a.err, want) {
		p.Fatalf("%.80q, %v, want %v", a.text, a.err, want)
	}
}

// TestOrder: replies go to who has asked, in whatever pieces they come.
func TestOrder(t *testing.T) {
	p, s := startPuppet(t, Config{})
	var got []chan asked
	var replies string
	for i := range 20 {
		word := fmt.Sprint("word", i)
		got = append(got, askFor(t.Context(), s, word))
		if i == 0 {
			p.accept()
		}
		p.hear(word)
		replies += fmt.Sprintf("$%d\r\n%s\r\n", len(word), word)
	}
	for len(replies) > 0 {
		n := min(len(replies), 7)
		p.say(replies[:n])
		replies = replies[n:]
	}
	for i, c := range got {
		p.gets(c, fmt.Sprint("word", i))
	}
}

// TestCallerLeaves: his reply, when it comes, reaches nobody, and the others get
// theirs over the same connection.
func TestCallerLeaves(t *testing.T) {
	p, s := startPuppet(t, Config{})
	first := askFor(t.Context(), s, "first")
	p.accept()
	p.hear("first")
	ctx, leave := context.WithCancel(t.Context())
	second := askFor(ctx, s, "second")
	p.hear("second")
	third := askFor(t.Context(), s, "third")
	p.hear("third")
	p.say("+first\r\n+sec")
	p.gets(first, "first")
	leave()
	p.fails(second, context.Canceled)
	p.say("ond\r\n+third\r\n")
	p.gets(third, "third")
}

// timeUp is a context whose time is up when the test says so.
type timeUp struct {
	context.Context
	is chan struct{}
}

func (c timeUp) Done() <-chan struct{} { return c.is }

func (c timeUp) Err() error {
	select {
	case <-c.is:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// TestHeardMeanwhile: a server that is slow, but says something, is not left.
func TestHeardMeanwhile(t *testing.T) {
	p, s := startPuppet(t, Config{})
	first := askFor(t.Context(), s, "first")
	p.accept()
	p.hear("first")
	hasty := timeUp{t.Context(), make(chan struct{})}
	second := askFor(hasty, s, "second")
	p.hear("second")
	p.say("+first\r\n")
	p.gets(first, "first")
	close(hasty.is)
	p.fails(second, context.DeadlineExceeded)
	third := askFor(t.Context(), s, "third")
	p.hear("third")
	p.say("+second\r\n+third\r\n")
	p.gets(third, "third")
}

// TestLongReply: longer than what a loop lets wait.
func TestLongReply(t *testing.T) {
	p, s := startPuppet(t, Config{})
	text := strings.Repeat("0123456789abcdef", 1<<16)
	got, after := askFor(t.Context(), s, "long"), make(chan asked)
	p.accept()
	p.hear("long")
	after = askFor(t.Context(), s, "short")
	p.hear("short")
	p.say(fmt.Sprintf("$%d\r\n%s\r\n$5\r\nshort\r\n", len(text), text))
	p.gets(got, text)
	p.gets(after, "short")
	again := askFor(t.Context(), s, "again")
	p.hear("again")
	p.say("+again\r\n")
	p.gets(again, "again")
}

// TestConnectionEnds in the middle of a reply, with one that nobody has asked
// for, and with what is none.
func TestConnectionEnds(t *testing.T) {
	for said, want := range map[string]error{"$5\r\nhal": io.EOF, "+one\r\n+two\r\n+three\r\n": errUnasked,
		"hello\r\n": errReply, "*2\r\n*1\r\n:1\r\n:2\r\n": errReply, "$x\r\n": errReply, "$2\r\nabc\r\n": errReply} {
		p, s := startPuppet(t, Config{})
		one := askFor(t.Context(), s, "one")
		p.accept()
		p.hear("one")
		two := askFor(t.Context(), s, "two")
		p.hear("two")
		p.say(said)
		if want == io.EOF {
			p.here.Close()
		}
		if want == errUnasked {
			p.gets(one, "one")
			p.gets(two, "two")
			if _, err := p.in.ReadByte(); err != io.EOF {
				t.Fatalf("%v: the connection lives on", err)
			}
			continue
		}
		p.fails(one, want)
		p.fails(two, want)
		next := askFor(t.Context(), s, "next")
		p.accept()
		p.hear("next")
		p.say("-ERR no\r\n")
		p.fails(next, serverError("ERR no"))
	}
}

// TestGreeting: the password and the database come first, and a refusal is told.
func TestGreeting(t *testing.T) {
	p, s := startPuppet(t, Config{Username: "u", Password: "secret", DB: 3})
	got := askFor(t.Context(), s, "word")
	p.accept()
	p.hear("secret", "3")
	p.say("+OK\r\n+O")
	p.say("K\r\n")
	p.hear("word")
	p.say("+word\r\n")
	p.gets(got, "word")

	p, s = startPuppet(t, Config{Password: "wrong"})
	got = askFor(t.Context(), s, "word")
	p.accept()
	p.hear("wrong")
	p.say("-WRONGPASS invalid\r\n")
	p.fails(got, serverError("WRONGPASS invalid"))
}

// TestClosedStore: who waits is told, and who comes later.
func TestClosedStore(t *testing.T) {
	p, s := startPuppet(t, Config{})
	one := askFor(t.Context(), s, "one")
	p.accept()
	p.hear("one")
	fatal(t, s.close())
	p.fails(one, errClosed)
	p.fails(askFor(t.Context(), s, "two"), idem.ErrRefused)
}

// TestCloseWhileDialing: a line that is about to connect is waited for, or does
// not; nothing is left behind.
func TestCloseWhileDialing(t *testing.T) {
	rt, err := conn.Start(conn.Config{Loops: 1})
	fatal(t, err)
	defer rt.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	fatal(t, err)
	defer ln.Close()
	for range 200 {
		s := newShared(Config{Runtime: rt, Addrs: []string{ln.Addr().String()}, Timeout: long})
		one := askFor(t.Context(), s, "one")
		fatal(t, s.close())
		if a := <-one; a.err == nil {
			t.Fatalf("answered %q", a.text)
		}
	}
	await.Until(t, "all connections are closed", func() bool { return rt.Stats().Conns == 0 })
}

// TestTooLong: what could never be sent is refused at once.
func TestTooLong(t *testing.T) {
	_, s := startPuppet(t, Config{})
	a := <-askFor(t.Context(), s, strings.Repeat("x", highWater))
	if !errors.Is(a.err, idem.ErrTooLarge) || !errors.Is(a.err, idem.ErrRefused) {
		t.Error(a.err)
	}
}

// FuzzReadReply: a reply is read the same whatever comes behind it, and not
// before all of it is there.
func FuzzReadReply(f *testing.F) {
	for _, s := range []string{"+OK\r\n", "-ERR no\r\n", ":12\r\n", "$3\r\na\r\n\r\n", "$-1\r\n", "*-1\r\n", "*0\r\n",
		"*3\r\n$3\r\nnew\r\n:1\r\n$0\r\n\r\n", "*1\r\n*1\r\n", "$99999999999\r\n", "\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 4096 {
			t.Skip("each beginning of it is read")
		}
		n, err := readReply(b, nil)
		var r reply
		m, again := readReply(b, &r)
		if n != m || (err == nil) != (again == nil) || n < 0 || n > len(b) || n > 0 && err != nil {
			t.Fatalf("%d, %v and %d, %v", n, err, m, again)
		}
		if n == 0 {
			return
		}
		if k, err := readReply(append(bytes.Clone(b[:n]), "+more\r\n"...), nil); k != n || err != nil {
			t.Fatalf("with more behind it %d, %v", k, err)
		}
		for i := range n {
			if k, err := readReply(b[:i], nil); k != 0 || err != nil {
				t.Fatalf("%d of %d bytes: %d, %v", i, n, k, err)
			}
		}
	})
}
