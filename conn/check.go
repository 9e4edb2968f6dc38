package conn

import (
	"fmt"

	"github.com/weir-go/weir/internal/invariants"
)

// check panics when it is called on another goroutine than the loop's, under
// the invariants build tag. Methods marked "loop only" begin with it. A loop
// that a test turns by hand has no goroutine of its own and is not checked.
func (l *loop) check() {
	if !invariants.Enabled {
		return
	}
	if id := l.gid.Load(); id != nil && *id != goroutineID() {
		panic(fmt.Sprintf("conn: loop %d belongs to %sbut was entered on %s", l.index, *id, goroutineID()))
	}
}
