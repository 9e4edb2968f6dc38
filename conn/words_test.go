package conn

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

func (s *scene) config(args []string) {
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "readsize":
			s.cfg.ReadSize = s.number(value)
		case "readbudget":
			s.cfg.ReadBudget = s.number(value)
		case "budget":
			s.cfg.ByteBudget = int64(s.number(value))
		case "events":
			s.cfg.Events = s.number(value)
		case "posts":
			s.cfg.PostQueue = s.number(value)
		case "closetimeout":
			s.cfg.CloseTimeout = s.duration(value)
		case "lingerconns":
			s.cfg.LingerConns = s.number(value)
		case "lingerbytes":
			s.cfg.LingerBytes = int64(s.number(value))
		default:
			s.fatalf("no such setting")
		}
	}
}

func (s *scene) number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		s.fatalf("%v", err)
	}
	return n
}

func (s *scene) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		s.fatalf("%v", err)
	}
	return d
}

// rate reads "100/5s": bytes a second, grace.
func (s *scene) rate(text string) Rate {
	bytes, grace, _ := strings.Cut(text, "/")
	return Rate{Bytes: s.number(bytes), Grace: s.duration(grace)}
}

// text reads "hello" as itself and "100*x" as a hundred times x.
func (s *scene) text(word string) []byte {
	if count, x, ok := strings.Cut(word, "*"); ok {
		if n, err := strconv.Atoi(count); err == nil {
			return []byte(strings.Repeat(x, n))
		}
	}
	return []byte(word)
}

// show writes bytes as a trace has them.
func show(p []byte) string {
	if len(p) > 24 {
		return fmt.Sprintf("%d bytes", len(p))
	}
	return strconv.Quote(string(p))
}
