// Package await has tests wait for what nothing signals.
package await

import (
	"testing"
	"time"
)

// Patience bounds waits that end soon unless something is broken.
const Patience = 30 * time.Second

// Until returns when done says so, which it asks every other millisecond, and
// ends the test after Patience. Call it on the test's own goroutine.
func Until(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); !done(); {
		if time.Now().After(end) {
			t.Fatal("never happened: " + what)
		}
		<-time.After(2 * time.Millisecond)
	}
}
