package news

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"testing"
	"time"
)

func TestCheckSeesEveryBit(t *testing.T) {
	for _, size := range []int{Least, 64, 1024} {
		body := make([]byte, size)
		Put(body, 7, 3, 12345)
		if at, ok := Check(body, 7, 3); !ok || at != 12345 {
			t.Fatalf("%d bytes: %d, %t", size, at, ok)
		}
		for bit := range 8 * size {
			body[bit/8] ^= 1 << (bit % 8)
			if _, ok := Check(body, 7, 3); ok && bit/8/8 != 1 { // the time says nothing about itself
				t.Fatalf("%d bytes: bit %d turned and not seen", size, bit)
			}
			body[bit/8] ^= 1 << (bit % 8)
		}
	}
}

func TestCheckSeesStrangers(t *testing.T) {
	body := make([]byte, 64)
	Put(body, 7, 3, 1)
	swapped := bytes.Clone(body)
	copy(swapped[16:], body[24:32])
	copy(swapped[24:], body[16:24])
	for name, c := range map[string]struct {
		body      []byte
		salt, seq uint64
	}{
		"another stream's": {body, 8, 3}, "doubled": {body, 7, 4}, "early": {body, 7, 2},
		"short": {body[:56+7], 7, 3}, "empty": {nil, 7, 3}, "words swapped": {swapped, 7, 3},
	} {
		if _, ok := Check(c.body, c.salt, c.seq); ok {
			t.Errorf("%s was not seen", name)
		}
	}
	if Number(body) != 3 || Number(body[:8]) != 0 {
		t.Error("number", Number(body), Number(body[:8]))
	}
}

func TestBodyIsWhatStandsBehindItsHead(t *testing.T) {
	for _, n := range []int{0, 1, 24, 64, 119, 120, 124, 127, 128, 1024, 16000, 70000} {
		body := bytes.Repeat([]byte{9}, n)
		m := append(AppendHead(nil, Response, n), body...)
		if HeadLen(n) != len(m)-n {
			t.Errorf("%d: HeadLen %d, head %d", n, HeadLen(n), len(m)-n)
		}
		if got, err := Body(m, Response); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%d: %d bytes, %v", n, len(got), err)
		}
		for name, bad := range map[string][]byte{
			"another tag": append([]byte{Request}, m[1:]...), "cut": m[:len(m)-1], "longer": append(bytes.Clone(m), 0), "nothing": nil,
		} {
			if _, err := Body(bad, Response); !errors.Is(err, ErrMessage) {
				t.Errorf("%d, %s: %v", n, name, err)
			}
		}
	}
}

func FuzzBody(f *testing.F) {
	f.Add(append(AppendHead(nil, Request, 3), 1, 2, 3))
	f.Add(append(AppendHead(nil, Request, 200), make([]byte, 200)...)) // lengths of two bytes
	f.Add([]byte{Request, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, m []byte) {
		body, err := Body(m, Request)
		if err == nil && len(AppendHead(nil, Request, len(body)))+len(body) > len(m) {
			t.Fatalf("a body of %d bytes in a message of %d", len(body), len(m))
		}
	})
}

// press is a Press and what it publishes, with room for so many.
func press(room int) (*Press, chan []byte) {
	out := make(chan []byte, room)
	return &Press{Size: 64, Subscribers: func() int { return 42 }, Publish: func(ctx context.Context, body []byte) error {
		select {
		case out <- bytes.Clone(body):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}}, out
}

func say(t *testing.T, p *Press, word, want string) string {
	t.Helper()
	got, ok := p.Answer(word)
	if !ok || want != "" && got != want {
		t.Fatalf("%q is answered %q, %t; want %q", word, got, ok, want)
	}
	return got
}

// What is in the numbers has been published, whenever hush comes.
func TestPressCountsWhatItPublished(t *testing.T) {
	p, out := press(3)
	say(t, p, "subscribers", "42")
	say(t, p, "push", "ok")
	for i, rate := range []string{"0", "1000"} {
		say(t, p, "publish "+rate, "ok")
		for range 10 {
			<-out
		}
		last, err := strconv.Atoi(say(t, p, "hush", ""))
		if err != nil || last < 10*(i+1) {
			t.Fatal(last, err)
		}
		for len(out) > 0 {
			if body := <-out; Number(body) > uint64(last) {
				t.Fatalf("number %d came, hush said %d", Number(body), last)
			}
		}
		say(t, p, "hush", strconv.Itoa(last))
	}
}

func TestPressNumbersInOrder(t *testing.T) {
	p, out := press(0)
	say(t, p, "publish 0", "ok")
	began := time.Now().UnixNano()
	for seq := uint64(1); seq < 100; seq++ {
		if at, ok := Check(<-out, 0, seq); !ok || at > time.Now().UnixNano() || at < began-int64(time.Minute) {
			t.Fatal(seq, at, ok)
		}
	}
	p.Hush()
}

func TestPressTellsWhyItEnded(t *testing.T) {
	broken, ended := errors.New("broken"), make(chan struct{})
	p := &Press{Size: 64, Publish: func(context.Context, []byte) error { close(ended); return broken }}
	say(t, p, "publish 0", "ok")
	<-ended
	<-p.done
	say(t, p, "hush", "broken")
	for _, word := range []string{"publish", "publish x", "publish -1"} {
		if got := say(t, p, word, ""); got == "ok" {
			t.Errorf("%q is ok", word)
		}
	}
	if _, ok := p.Answer("dance"); ok {
		t.Error("it dances")
	}
}
