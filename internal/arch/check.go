package arch

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strings"
)

// checkRows returns the imports that no row allows and the packages that have
// none.
func (t *tree) checkRows(may map[string]row) (broken []string) {
	missing := map[string]bool{}
	for _, f := range t.files {
		if f.nested {
			continue
		}
		if _, listed := may[f.pkg]; !listed {
			missing[f.pkg] = true
			continue
		}
		for _, spec := range f.syntax.Imports {
			p := imported(spec)
			switch pkg, ours := t.inside(p); {
			case f.test && ours && under(pkg, "bench") && !under(f.pkg, "bench"):
				broken = append(broken, fmt.Sprintf("%s: a test imports %s", t.at(spec), pkg))
			case f.test:
			case !t.allows(may[f.pkg], p) && !t.allows(may[f.name], p):
				broken = append(broken, fmt.Sprintf("%s: %s may not import %s", t.at(spec), f.pkg, p))
			}
		}
	}
	for pkg := range missing {
		broken = append(broken, pkg+": has no row in the import policy")
	}
	slices.Sort(broken)
	return broken
}

// allows reports whether a row lets a file import something. The standard
// library is free here: what it reaches is for checkNet to see.
func (t *tree) allows(r row, importPath string) bool {
	if pkg, ours := t.inside(importPath); ours {
		return slices.Contains(r.module, pkg)
	}
	allowed := func(other string) bool { return under(importPath, other) }
	return standard(importPath) || slices.ContainsFunc(r.others, allowed)
}

// standard reports whether the path is one of the standard library's: those
// have no dot in the first element.
func standard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

// under reports whether a path is that of the folder or below it.
func under(name, folder string) bool {
	return name == folder || strings.HasPrefix(name, folder+"/")
}

// checkNet returns, for each package whose row does not let it reach package
// net, the way on which it does.
func (t *tree) checkNet(may map[string]row) (broken []string, err error) {
	ours := map[string][]string{} // what the packages of this module import
	for _, f := range t.files {
		if f.test || f.nested {
			continue
		}
		for _, spec := range f.syntax.Imports {
			ours[f.pkg] = append(ours[f.pkg], imported(spec))
		}
	}
	imports := func(importPath string) ([]string, error) {
		if pkg, ok := t.inside(importPath); ok {
			return ours[pkg], nil
		}
		return t.out.imports(importPath)
	}
	for pkg := range ours {
		if may[pkg].net {
			continue
		}
		way, err := wayTo("net", path.Join(t.module, pkg), imports)
		if err != nil {
			return nil, err
		}
		if way != nil {
			broken = append(broken, fmt.Sprintf("%s: reaches package net: %s", pkg, strings.Join(way, " -> ")))
		}
	}
	slices.Sort(broken)
	return broken, nil
}

// wayTo returns the shortest chain of imports between two packages, both ends
// included, or nil if there is none.
func wayTo(goal, start string, imports func(string) ([]string, error)) ([]string, error) {
	from := map[string]string{start: ""}
	for queue := []string{start}; len(queue) > 0; queue = queue[1:] {
		next, err := imports(queue[0])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", queue[0], err)
		}
		for _, n := range next {
			if _, seen := from[n]; seen {
				continue
			}
			from[n] = queue[0]
			if n == goal {
				return trail(from, goal), nil
			}
			queue = append(queue, n)
		}
	}
	return nil, nil
}

// trail walks back from the goal.
func trail(from map[string]string, goal string) (way []string) {
	for p := goal; p != ""; p = from[p] {
		way = append(way, p)
	}
	slices.Reverse(way)
	return way
}

// checkSleep returns the places where something sleeps, outside some folders.
func (t *tree) checkSleep(asleep []string) (broken []string) {
	for _, f := range t.files {
		if slices.ContainsFunc(asleep, func(folder string) bool { return under(f.name, folder) }) {
			continue
		}
		clock := nameOf(f.syntax, "time")
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok || s.Sel.Name != "Sleep" {
				return true
			}
			if x, ok := s.X.(*ast.Ident); ok && x.Name == clock {
				broken = append(broken, t.at(n)+": sleeps")
			}
			return true
		})
	}
	return broken
}

// nameOf returns the name by which a file calls a package it imports, "" if it
// does not import it.
func nameOf(syntax *ast.File, importPath string) string {
	for _, spec := range syntax.Imports {
		if imported(spec) != importPath {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(importPath)
	}
	return ""
}
