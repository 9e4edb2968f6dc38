package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/weir-go/weir/bench/internal/h2c"
	"github.com/weir-go/weir/bench/internal/proc"
	"github.com/weir-go/weir/conn"
)

// talkJob is what the driver of the area stream is told to do, as JSON on its command line.
//
//	driver                                        bench
//	opens its connections and streams
//	"open"                                   ──►  (waits for the server's subscribers, lets it publish)
//	                                         ◄──  "go"
//	warm-up, then a window
//	result as JSON on one line               ──►  (lets the server end its publishing)
//	                                         ◄──  "settle N"
//	waits until nothing is under way and all
//	who read have had message N
//	"settled"                                ──►
//	                                         ◄──  end of input
type talkJob struct {
	h2c.Config
	Addr         string
	Server       int // its process, whose CPU time the window is of
	Warm, Window time.Duration
}

// Words besides those of drive.
const (
	wordSettle  = "settle"
	wordSettled = "settled"
)

type talkResult struct {
	h2c.Result
	Usage proc.Usage
}

// talk is the driver process.
func talk(args []string, in io.Reader, out io.Writer) error {
	var j talkJob
	if len(args) != 1 {
		return errors.New("talk takes one job")
	}
	err := json.Unmarshal([]byte(args[0]), &j)
	if err != nil {
		return err
	}
	if j.To, err = conn.ParseAddr(j.Addr); err != nil {
		return err
	}
	rt, err := conn.Start(conn.Config{Loops: 1, Options: conn.Options{HighWater: 8 << 20}})
	if err != nil {
		return err
	}
	defer rt.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client, err := h2c.Open(ctx, rt, j.Config)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, wordOpen); err != nil {
		return err
	}
	words := bufio.NewScanner(in)
	for words.Scan() {
		if err := j.obey(client, words.Text(), out); err != nil {
			return err
		}
	}
	return words.Err()
}

func (j talkJob) obey(client *h2c.Client, word string, out io.Writer) error {
	if word == wordGo {
		r, err := j.measure(client)
		if err != nil {
			return err
		}
		return json.NewEncoder(out).Encode(r)
	}
	number, ok := strings.CutPrefix(word, wordSettle+" ")
	last, err := strconv.ParseUint(number, 10, 64)
	if !ok || err != nil {
		return fmt.Errorf("what is %q?", word)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience*3/4)
	defer cancel()
	if err := client.Settle(ctx, last); err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, wordSettled)
	return err
}

func (j talkJob) measure(client *h2c.Client) (r talkResult, err error) {
	ctx := context.Background()
	if j.Mode == h2c.Echo || j.Mode == h2c.Unary {
		if err := client.Begin(); err != nil {
			return r, err
		}
	}
	if _, err := client.Measure(ctx, j.Warm); err != nil {
		return r, err
	}
	watch := proc.NewWatch(j.Server, os.Getpid())
	for end := time.Now().Add(patience / 2); ; {
		watch.Begin()
		if r.Result, err = client.Measure(ctx, j.Window); err != nil {
			return r, err
		}
		r.Usage = watch.End()
		switch {
		case r.Messages > 0:
			return r, nil
		case time.Now().After(end): // a busy machine may let a short window pass without a message
			return r, fmt.Errorf("%w: no message came", errBad)
		}
	}
}

// talker is a running driver.
type talker struct {
	*proc.Proc
	job talkJob
}

// openTalk starts a driver on its core and returns when its streams are open.
func (b *bench) openTalk(j talkJob) (*talker, error) {
	text, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(b.self, "talk", string(text))
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	p, err := proc.Start(cmd, b.driverCore)
	if err != nil {
		return nil, err
	}
	if first, err := p.Line(patience); err != nil || first != wordOpen {
		return nil, errors.Join(err, p.Stop(patience))
	}
	return &talker{p, j}, nil
}

// window is one measurement.
func (t *talker) window() (r talkResult, err error) {
	text, err := t.Ask(wordGo, patience+t.job.Warm+t.job.Window)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return r, fmt.Errorf("driver says %q: %w", text, err)
	}
	return r, nil
}

// settle is an error unless everything came, in order, as it was sent.
func (t *talker) settle(last string) error {
	text, err := t.Ask(wordSettle+" "+last, patience)
	if err == nil && text != wordSettled {
		err = fmt.Errorf("driver says %q", text)
	}
	return err
}
