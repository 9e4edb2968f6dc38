package await_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-go/weir/internal/await"
	"github.com/weir-go/weir/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// stuck is a test that notes its end and is ended by it.
type stuck struct {
	testing.TB
	said string
}

func (s *stuck) Helper() {}

func (s *stuck) Fatal(args ...any) {
	s.said = args[0].(string)
	panic(s)
}

func TestUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		await.Until(t, "the third time", func() bool { return time.Since(began) >= 5*time.Millisecond })
		if d := time.Since(began); d != 6*time.Millisecond {
			t.Errorf("returned after %v", d)
		}
	})
}

func TestUntilGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, s := time.Now(), &stuck{TB: t}
		defer func() {
			if recover() != s || s.said != "never happened: a miracle" {
				t.Errorf("%q", s.said)
			}
			if d := time.Since(began); d < await.Patience || d > await.Patience+time.Second {
				t.Errorf("gave up after %v", d)
			}
		}()
		await.Until(s, "a miracle", func() bool { return false })
	})
}
