package redis_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"testing"

	"github.com/weir-go/weir/contrib/redis"
)

// TestMutations: each rule of the scripts is broken in turn, in a process of its
// own, and the tests notice. So does the storm, of the article's script.
func TestMutations(t *testing.T) {
	if os.Getenv("REDIS_MUTATION") != "" {
		t.Skip("in a mutation")
	}
	startServer(t) // or the test is skipped
	self, err := os.Executable()
	ok(t, err)
	for _, name := range append(redis.Mutations(), "article") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tests := "^(TestStore|TestClockSetBack)$/^unix$"
			if name == "article" {
				tests = "^TestStorm$/^weather$"
			}
			c := exec.Command(self, "-test.run", tests, "-test.failfast", "-test.timeout", "2m")
			c.Env = append(os.Environ(), "REDIS_MUTATION="+name)
			out, err := c.CombinedOutput()
			var failed *exec.ExitError
			if !errors.As(err, &failed) || !bytes.Contains(out, []byte("--- FAIL: Test")) { // not that there is no such rule
				t.Fatalf("nobody noticed (%v):\n%s", err, out)
			}
			t.Logf("noticed:\n%.600s", out)
		})
	}
}
