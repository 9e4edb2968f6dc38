package idemhttp

import (
	"bytes"
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzKey: what is a key is printable and not empty, and quoting it again gives
// it back.
func FuzzKey(f *testing.F) {
	for _, s := range []string{`"8e03978e"`, "8e03978e", `"a \"b\" \\"`, `"`, `"a\`, ""} {
		f.Add(s)
	}
	quote := strings.NewReplacer(`"`, `\"`, `\`, `\\`)
	f.Fuzz(func(t *testing.T, line string) {
		id, valid := parseKey([]string{line})
		if !valid {
			return
		}
		for _, c := range []byte(id) {
			if c < ' ' || c > '~' {
				t.Fatalf("%q has %q", id, c)
			}
		}
		again, valid := parseKey([]string{`"` + quote.Replace(id) + `"`})
		if id == "" || !valid || again != id {
			t.Fatalf("%q, then %q", id, again)
		}
	})
}

// FuzzStored: nothing that stands in a store makes a handler panic.
func FuzzStored(f *testing.F) {
	rec := &recorder{to: httptest.NewRecorder(), limit: 10, header: map[string][]string{"A": {"b"}}}
	rec.Write([]byte("body"))
	stored, err := rec.result()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(stored)
	rec.Write([]byte("longer than the limit"))
	if stored, err = rec.result(); err != nil {
		f.Fatal(err)
	}
	f.Add(stored)
	f.Add([]byte("\x00\x00\x00\x02{}"))
	f.Fuzz(func(t *testing.T, stored []byte) {
		if _, body, err := parseResult(stored); err == nil && !bytes.HasSuffix(stored, body) {
			t.Fatalf("body %q", body)
		}
		replay(httptest.NewRecorder(), stored)
	})
}
