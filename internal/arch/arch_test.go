package arch

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/weir-go/weir/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// root is where the module is, seen from here.
const root = "../.."

func parseModule(t *testing.T) *tree {
	t.Helper()
	tree, err := parse(os.DirFS(root), newDisk(root))
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.files) < 10 { // else a wrong root would pass every test
		t.Fatalf("only %d Go files found", len(tree.files))
	}
	return tree
}

func report(t *testing.T, broken []string) {
	t.Helper()
	for _, b := range broken {
		t.Error(b)
	}
}

func TestImports(t *testing.T) {
	report(t, parseModule(t).checkRows(may))
}

func TestNetIsNotReached(t *testing.T) {
	broken, err := parseModule(t).checkNet(may)
	if err != nil {
		t.Fatal(err)
	}
	report(t, broken)
}

func TestNothingSleeps(t *testing.T) {
	report(t, parseModule(t).checkSleep(asleep))
}

// library is an outside made of a table.
type library map[string][]string

func (l library) imports(importPath string) ([]string, error) {
	paths, ok := l[importPath]
	if !ok {
		return nil, fmt.Errorf("no package %s", importPath)
	}
	return paths, nil
}

// TestViolations feeds the checks a small module with one thing wrong at a
// time, for a policy that is not broken shows nothing.
func TestViolations(t *testing.T) {
	const sleep = "time." + "Sleep(1)"
	policy := map[string]row{
		"conn":         {module: list("timer")},
		"conn/pool.go": {others: list("example.org/ants")},
		"timer":        {},
		"netconn":      {module: list("conn"), net: true},
		"bench":        {module: list("conn"), net: true},
	}
	out := library{
		"net": {}, "net/http": {"net"}, "net/netip": {"errors"}, "errors": {}, "testing": {}, "time": {},
		"example.org/ants": {"errors"}, "example.org/dirty": {"errors", "example.org/dirty/deep"},
		"example.org/dirty/deep": {"net/http"},
	}
	for _, test := range []struct {
		name string
		file string
		text string
		want string // "" for a file that is in order
	}{
		{"in order", "conn/a.go", `package conn; import ("errors"; "net/netip"; "m.org/m/timer")`, ""},
		{"import upward", "timer/a.go", `package timer; import "m.org/m/conn"`,
			"timer/a.go:1: timer may not import m.org/m/conn"},
		{"import upward on another platform", "timer/a_plan9.go", `package timer; import "m.org/m/conn"`,
			"timer/a_plan9.go:1: timer may not import m.org/m/conn"},
		{"import upward behind a tag", "timer/a.go", "//go:build never\n\npackage timer; import `m.org/m/conn`",
			"timer/a.go:3: timer may not import m.org/m/conn"},
		{"another module", "conn/a.go", `package conn; import "example.org/ants"`,
			"conn/a.go:1: conn may not import example.org/ants"},
		{"another module in the one file", "conn/pool.go", `package conn; import "example.org/ants"`, ""},
		{"package without a row", "extra/a.go", `package extra`, "extra: has no row in the import policy"},
		{"package without a row, tests only", "extra/a_test.go", `package extra`, "extra: has no row in the import policy"},
		{"testdata", "conn/testdata/a.go", `package conn; import "net"`, ""},
		{"test imports anything", "timer/a_test.go", `package timer; import ("net"; "m.org/m/netconn")`, ""},
		{"test imports bench", "conn/a_test.go", `package conn; import "m.org/m/bench"`,
			"conn/a_test.go:1: a test imports bench"},
		{"test imports what is below bench", "conn/a_test.go", `package conn; import "m.org/m/bench/plot"`,
			"conn/a_test.go:1: a test imports bench/plot"},
		{"test of bench imports bench", "bench/a_test.go", `package bench; import "m.org/m/bench/plot"`, ""},
		{"net", "timer/a.go", `package timer; import "net"`, "timer: reaches package net: m.org/m/timer -> net"},
		{"net where it may be", "netconn/a.go", `package netconn; import "net"`, ""},
		{"net through the library", "timer/a.go", `package timer; import "net/http"`,
			"timer: reaches package net: m.org/m/timer -> net/http -> net"},
		{"net on another platform", "timer/a_windows.go", `package timer; import "net"`,
			"timer: reaches package net: m.org/m/timer -> net"},
		{"sleep", "conn/a.go", "package conn; import `time`\nfunc f() { " + sleep + " }", "conn/a.go:2: sleeps"},
		{"sleep in a test", "conn/a_test.go", "package conn; import `time`\nvar nap = time.Sleep", "conn/a_test.go:2: sleeps"},
		{"sleep by another name", "conn/a.go", "package conn; import clock `time`\n\nfunc f() { clock.Sleep(1) }",
			"conn/a.go:3: sleeps"},
		{"sleep in a nested module", "contrib/x/a.go", "package x; import `time`\nfunc f() { " + sleep + " }",
			"contrib/x/a.go:2: sleeps"},
		{"sleep in bench", "bench/a.go", "package bench; import `time`\nfunc f() { " + sleep + " }", ""},
		{"another Sleep", "conn/a.go", "package conn; import (`time`; `m.org/m/timer`)\nvar nap = timer.Sleep", ""},
		{"nested module imports anything", "contrib/x/deep/a.go", `package deep; import ("net"; "example.org/dirty")`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			files := map[string]string{
				"go.mod": "module m.org/m\n", "contrib/x/go.mod": "module m.org/m/contrib/x\n",
				"conn/conn.go": "package conn", "timer/timer.go": "package timer",
				test.file: test.text,
			}
			expect(t, check(t, files, policy, out), test.want)
		})
	}
	t.Run("net through other packages", func(t *testing.T) {
		files := map[string]string{
			"go.mod": "module m.org/m", "conn/a.go": `package conn; import "m.org/m/timer"`,
			"timer/a.go": `package timer; import "example.org/dirty"`,
		}
		policy := map[string]row{"conn": {module: list("timer")}, "timer": {others: list("example.org/dirty")}}
		const rest = "m.org/m/timer -> example.org/dirty -> example.org/dirty/deep -> net/http -> net"
		expect(t, check(t, files, policy, out),
			"conn: reaches package net: m.org/m/conn -> "+rest, "timer: reaches package net: "+rest)
	})
}

// check runs all checks over a module made of a table.
func check(t *testing.T, files map[string]string, policy map[string]row, out outside) []string {
	t.Helper()
	module := fstest.MapFS{}
	for name, text := range files {
		module[name] = &fstest.MapFile{Data: []byte(text)}
	}
	tree, err := parse(module, out)
	if err != nil {
		t.Fatal(err)
	}
	net, err := tree.checkNet(policy)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(tree.checkRows(policy), net, tree.checkSleep(list("bench")))
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if len(want) == 1 && want[0] == "" {
		want = nil
	}
	if !slices.Equal(got, want) {
		t.Errorf("found\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// TestDisk looks at the real standard library and module cache: that the
// search knows clean from unclean, and that go.mod leads to the right folder.
func TestDisk(t *testing.T) {
	out := newDisk(root)
	for _, test := range []struct {
		pkg  string
		ends string // the last step before net; "" if net is not reached
	}{
		{"net/netip", ""},
		{"log/slog", ""},
		{"os/signal", ""},
		{"golang.org/x/sys/unix", ""},
		{ants, ""},
		{"expvar", "net/http"},
		{"crypto/tls", "crypto/tls"},
	} {
		way, err := wayTo("net", test.pkg, out.imports)
		if err != nil {
			t.Errorf("%s: %v", test.pkg, err)
			continue
		}
		got := ""
		if way != nil {
			got = way[len(way)-2]
		}
		if got != test.ends {
			t.Errorf("%s: reaches net by way of %q, want %q: %v", test.pkg, got, test.ends, way)
		}
	}
	if _, err := out.imports("example.org/nowhere"); err == nil {
		t.Error("a package that is not there was read")
	}
}
