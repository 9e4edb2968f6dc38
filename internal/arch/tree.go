package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// A tree is the module, parsed: every Go file of it, for whatever platform.
type tree struct {
	module string // its path
	files  []file
	fset   *token.FileSet
	out    outside
}

// outside finds the packages of other modules and of the standard library.
type outside interface {
	// imports returns what a package imports, on any platform, tests apart.
	imports(pkg string) ([]string, error)
}

// file is one Go file.
type file struct {
	name   string // slash-separated, from the root of the repository
	pkg    string // its folder
	test   bool
	nested bool // belongs to a module of its own, below the root's
	syntax *ast.File
}

// at returns where a node stands, "conn/conn.go:12".
func (t *tree) at(n ast.Node) string {
	p := t.fset.Position(n.Pos())
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

// imported returns the path that an import names.
func imported(spec *ast.ImportSpec) string {
	p, _ := strconv.Unquote(spec.Path.Value) // the parser saw to it
	return p
}

// parse reads the module in root.
func parse(root fs.FS, out outside) (*tree, error) {
	t := &tree{out: out, fset: token.NewFileSet()}
	mod, err := fs.ReadFile(root, "go.mod")
	if err != nil {
		return nil, err
	}
	if t.module = moduleLine(mod); t.module == "" {
		return nil, fmt.Errorf("go.mod names no module")
	}
	nested := map[string]bool{}
	err = fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			if hidden(d.Name()) {
				return fs.SkipDir
			}
			_, err := fs.Stat(root, path.Join(name, "go.mod"))
			nested[name] = name != "." && err == nil || nested[path.Dir(name)]
			return nil
		case !strings.HasSuffix(name, ".go"):
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		syntax, err := parser.ParseFile(t.fset, name, text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		pkg := path.Dir(name)
		t.files = append(t.files, file{
			name: name, pkg: pkg, test: strings.HasSuffix(name, "_test.go"), nested: nested[pkg], syntax: syntax,
		})
		return nil
	})
	return t, err
}

// hidden reports whether the go command passes by a folder of this name.
func hidden(name string) bool {
	return name == "testdata" || name == "vendor" || len(name) > 1 && (name[0] == '.' || name[0] == '_')
}

// moduleLine returns the path that a go.mod file gives its module.
func moduleLine(mod []byte) string {
	for line := range strings.Lines(string(mod)) {
		if rest, ok := strings.CutPrefix(line, "module "); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// inside returns the folder of the package that has this import path, if it is
// one of this module.
func (t *tree) inside(importPath string) (pkg string, ok bool) {
	if importPath == t.module {
		return ".", true
	}
	return strings.CutPrefix(importPath, t.module+"/")
}
