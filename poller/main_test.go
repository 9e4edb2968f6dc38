package poller

import (
	"errors"
	"testing"

	"github.com/weir-go/weir/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// Where there is no backend, Open says so in a way that a program can ask for.
func TestOpenWorksOrIsUnsupported(t *testing.T) {
	p, err := Open()
	if err != nil {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Fatalf("Open: %v", err)
		}
		return
	}
	if err := p.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

func TestTokenParts(t *testing.T) {
	for _, c := range []struct {
		slot, gen uint32
		want      Token
	}{
		{0, 0, 0},
		{1, 0, 1},
		{0, 1, 1 << 32},
		{0xffffffff, 0, 0xffffffff},
		{0xfffffffe, 0xffffffff, 0xffffffff_fffffffe},
	} {
		tok := MakeToken(c.slot, c.gen)
		if tok != c.want || tok.Slot() != c.slot || tok.Gen() != c.gen {
			t.Errorf("MakeToken(%d, %d) = %#x: slot %d, gen %d; want %#x",
				c.slot, c.gen, uint64(tok), tok.Slot(), tok.Gen(), uint64(c.want))
		}
	}
}

func TestReadyString(t *testing.T) {
	for r, want := range map[Ready]string{
		0:                                     "none",
		Readable:                              "readable",
		Writable | Hangup:                     "writable|hangup",
		Readable | Writable | Hangup | Failed: "readable|writable|hangup|failed",
	} {
		if got := r.String(); got != want {
			t.Errorf("Ready(%d) = %q, want %q", uint8(r), got, want)
		}
	}
}

func TestReadyHasAny(t *testing.T) {
	r := Readable | Hangup
	if !r.Has(Readable) || !r.Has(Hangup|Failed) || r.Has(Writable|Failed) || r.Has(0) {
		t.Errorf("Has is not \"any of\" for %v", r)
	}
}
