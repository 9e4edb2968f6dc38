package arch

import (
	"fmt"
	"go/build"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// disk finds packages where the go command has put them: the standard library
// below GOROOT, those of other modules in the module cache.
type disk struct {
	root  string              // folder of the module; its go.mod decides versions
	dirs  map[string]string   // folders of the modules asked for so far
	known map[string][]string // imports of the packages asked for so far
}

func newDisk(root string) *disk {
	return &disk{root: root, dirs: map[string]string{}, known: map[string][]string{}}
}

func (d *disk) imports(importPath string) ([]string, error) {
	if importPath == "C" || importPath == "unsafe" {
		return nil, nil
	}
	if paths, ok := d.known[importPath]; ok {
		return paths, nil
	}
	dir, err := d.find(importPath)
	if err != nil {
		return nil, err
	}
	paths, err := importsIn(dir)
	if err != nil {
		return nil, err
	}
	d.known[importPath] = paths
	return paths, nil
}

// find returns the folder of a package.
func (d *disk) find(importPath string) (string, error) {
	library := filepath.Join(build.Default.GOROOT, "src")
	if standard(importPath) {
		return filepath.Join(library, filepath.FromSlash(importPath)), nil
	}
	module, err := d.moduleOf(importPath)
	if err != nil {
		return "", err
	}
	if module == "" { // the standard library brings along what it needs of others
		return filepath.Join(library, "vendor", filepath.FromSlash(importPath)), nil
	}
	dir, err := d.folder(module)
	return filepath.Join(dir, filepath.FromSlash(strings.TrimPrefix(importPath, module))), err
}

// moduleOf returns which of the modules in go.mod has the package: the one
// with the longest path. It is "" if none does.
func (d *disk) moduleOf(importPath string) (module string, err error) {
	text, err := os.ReadFile(filepath.Join(d.root, "go.mod"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(strings.TrimPrefix(line, "require "))
		if len(words) >= 2 && strings.HasPrefix(words[1], "v") && under(importPath, words[0]) && len(words[0]) > len(module) {
			module = words[0]
		}
	}
	return module, nil
}

// folder asks the go command where a module is. The answer depends on go.mod
// alone, so a cached test result hides no change.
func (d *disk) folder(module string) (string, error) {
	if dir, ok := d.dirs[module]; ok {
		return dir, nil
	}
	command := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module)
	command.Dir = d.root
	command.Stderr = os.Stderr
	out, err := command.Output()
	dir := strings.TrimSpace(string(out))
	if err != nil || dir == "" {
		return "", fmt.Errorf("go list -m %s: no folder: %v", module, err)
	}
	d.dirs[module] = dir
	return dir, nil
}

// platforms are those whose files count. Generators, which have tags of their
// own, do not.
var platforms = func() (all []build.Context) {
	for _, p := range [][2]string{
		{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "arm64"}, {"freebsd", "amd64"},
		{"netbsd", "amd64"}, {"openbsd", "amd64"}, {"dragonfly", "amd64"},
	} {
		for _, cgo := range []bool{true, false} {
			c := build.Default
			c.GOOS, c.GOARCH, c.CgoEnabled = p[0], p[1], cgo
			all = append(all, c)
		}
	}
	return all
}()

// importsIn returns what the package in a folder imports on any platform.
func importsIn(dir string) (paths []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name := e.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || !anywhere(dir, name) {
			continue
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.ImportsOnly)
		if err != nil {
			return nil, err
		}
		for _, spec := range syntax.Imports {
			paths = append(paths, imported(spec))
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths), nil
}

// anywhere reports whether a file counts on any of the platforms.
func anywhere(dir, name string) bool {
	return slices.ContainsFunc(platforms, func(c build.Context) bool {
		match, err := c.MatchFile(dir, name)
		return match && err == nil
	})
}
