package judges

import (
	"os"
	"path/filepath"
	"testing"
)

// TestGrpcJS: a client that shares no code with any of Go's. The script has the
// checks.
func TestGrpcJS(t *testing.T) {
	notUnderRace(t)
	installed(t, "node")
	npm := installed(t, "npm")
	dir := t.TempDir() // the packages do not belong into this tree
	for _, name := range []string{"package.json", "package-lock.json", "judge.js"} {
		text, err := os.ReadFile(filepath.Join("js", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	install := command(t, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline",
		"--fetch-timeout=30000", "--fetch-retries=1")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		missing(t, "grpc-js", &output{err, out})
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	judge := command(t, "node", "judge.js", root, echo(t))
	judge.Dir = dir
	out, err := judge.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}

// output is an error with what the process said.
type output struct {
	error
	out []byte
}

func (o *output) Error() string { return o.error.Error() + "\n" + string(o.out) }
