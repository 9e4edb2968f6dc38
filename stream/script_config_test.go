package stream

import (
	"strconv"
	"strings"
	"time"

	"github.com/weir-go/weir/bounds"
)

// shortOf is an Admission that says what the script wants.
type shortOf struct{ verdict bounds.Verdict }

func (x *shortOf) Verdict() bounds.Verdict { return x.verdict }

func (x *shortOf) Admit() error {
	if x.verdict.State != bounds.Normal {
		return &bounds.Refusal{Verdict: x.verdict, RetryAfter: x.verdict.Back}
	}
	return nil
}

// configure reads what a script has in its first line.
func (w *theatre) configure(args []string) {
	for _, a := range args {
		k, v, _ := strings.Cut(a, "=")
		d, _ := time.ParseDuration(v)
		n, _ := strconv.Atoi(v)
		switch k {
		case "MaxAge":
			w.cfg.MaxAge = d
		case "AgeGrace":
			w.cfg.AgeGrace = d
		case "MaxIdle":
			w.cfg.MaxIdle = d
		case "Time":
			w.cfg.Keepalive.Time = d
		case "MinTime":
			w.cfg.Enforce.MinTime = d
		case "Idle":
			w.cfg.Limits.Idle = d
		case "Receive":
			w.cfg.Limits.Receive = d
		case "Send":
			w.cfg.Limits.Send = d
		case "Age":
			w.cfg.Limits.Age = d
		case "Admit":
			w.short = new(shortOf)
			w.cfg.Admit = w.short
		case "SendLimit":
			w.cfg.SendLimit = n
		case "MaxRecv":
			w.cfg.MaxRecv = n
		case "MaxSend":
			w.cfg.MaxSend = n
		case "MaxStreams":
			w.cfg.MaxStreams = n
		case "StreamWindow":
			w.cfg.StreamWindow = n
		case "MaxHeaderList":
			w.cfg.MaxHeaderList = n
		case "ControlLimit":
			w.cfg.ControlLimit = n
		default:
			w.t.Fatalf("no such field: %s", k)
		}
	}
}
