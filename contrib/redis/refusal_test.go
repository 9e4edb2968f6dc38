package redis

import (
	"errors"
	"testing"

	"github.com/weir-go/weir/idem"
)

// TestReadOnlyServer: one that takes no writes any more is asked over a new
// connection, for behind its address there may be another.
func TestReadOnlyServer(t *testing.T) {
	for name, no := range map[string]string{
		"":          "READONLY no",
		"Redis 6":   inScript + "READONLY You can't write against a read only replica. ",
		"Dragonfly": "ERR Error running script (call to d8f2fad9): @user_script:2: -READONLY no",
	} {
		t.Run(name, func(t *testing.T) {
			p, s := startPuppet(t, Config{})
			one := askFor(t.Context(), s, "one")
			p.accept()
			p.hear("one")
			p.say("-" + no + "\r\n")
			p.fails(one, serverError(no))
			two := askFor(t.Context(), s, "two")
			p.accept()
			p.hear("two")
			p.say("+two\r\n")
			p.gets(two, "two")
		})
	}
}

// inScript is how Redis before version 7 begins to say why a command in a script was
// refused.
const inScript = "ERR Error running script (call to f_1028a5dba704e1d8a01fd96efeba25bb78f62df2): @user_script:4: @user_script: 4: -"

// TestRefusals: what asking again does not help, and what it may.
func TestRefusals(t *testing.T) {
	for text, want := range map[string]error{
		"ERR unknown command":                  idem.ErrRefused,
		"ERR max number of clients reached":    nil,
		"NOAUTH Authentication required.":      idem.ErrRefused,
		"OOM command not allowed":              idem.ErrFull,
		"READONLY no":                          nil,
		"LOADING Redis is loading the dataset": nil,
		"MOVED 1 127.0.0.1:1":                  nil,
		"TRYAGAIN Multiple keys":               nil,
		inScript + "READONLY no":               nil,
		inScript + "MISCONF no":                nil,
		inScript + "OOM command not allowed":   idem.ErrFull,
		inScript + "ERR wrong number":          idem.ErrRefused,
		"ERR Error running script (call to f_1): @user_script:4: attempt to compare nil": idem.ErrRefused,
	} {
		err := judge(serverError(text))
		refused := errors.Is(err, idem.ErrRefused)
		if refused != (want != nil) || want != nil && !errors.Is(err, want) || errors.Is(err, idem.ErrFull) != (want == idem.ErrFull) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}
