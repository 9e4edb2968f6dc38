package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// rival is a server of another make, built from bench/rivals.
type rival struct {
	id     string
	folder string // of its main package or C file, in bench/rivals
	module string // of a rival whose source has to be given by -source
}

// modules that the Go module proxy serves are in bench/rivals/go.mod. Folders that begin with an underscore are not
// part of that module's packages: they are built only when -source says where to find what they import.
var rivals = []rival{
	{id: "cepoll", folder: "cepoll"},
	{id: "rawloop", folder: "rawloop"},
	{id: "netpoll", folder: "netpoll", module: "github.com/cloudwego/netpoll v0.7.2"},
	{id: "gnet", folder: "_gnet", module: "github.com/panjf2000/gnet/v2 v2.0.0"},
	{id: "nbio", folder: "_nbio", module: "github.com/lesismal/nbio v1.0.0"},
}

// timingwheelRival takes part in the area timer.
var timingwheelRival = rival{id: "timingwheel", folder: "_timingwheel", module: "github.com/RussellLuo/timingwheel v0.0.0"}

// withRivals adds to all the rivals that can be built here; a note says which can't and why.
func (b *bench) withRivals(all []subject) ([]subject, error) {
	for name := range b.sources {
		if !slices.ContainsFunc(rivals, func(r rival) bool { return r.id == name && r.module != "" }) {
			return nil, fmt.Errorf("-source %s: no rival of that name takes a source", name)
		}
	}
	if !b.rivals {
		return all, nil
	}
	home, err := rivalsFolder()
	if err != nil {
		return nil, err
	}
	for _, r := range rivals {
		if len(b.subjects) > 0 && !slices.Contains(b.subjects, r.id) {
			continue
		}
		binary, err := b.build(home, r)
		if err != nil {
			b.note("%s not measured: %v", r.id, err)
			continue
		}
		all = append(all, subject{id: r.id, command: []string{binary}})
	}
	return all, nil
}

// rivalsFolder finds bench/rivals from anywhere inside the repository.
func rivalsFolder() (string, error) {
	mod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("rivals are built with the go command: %w", err)
	}
	home := filepath.Join(filepath.Dir(strings.TrimSpace(string(mod))), "bench", "rivals")
	if _, err := os.Stat(filepath.Join(home, "go.mod")); err != nil {
		return "", fmt.Errorf("rivals are built from the repository, run it there: %w", err)
	}
	return home, nil
}

// build makes a rival's binary in the scratch folder.
func (b *bench) build(home string, r rival) (string, error) {
	binary := filepath.Join(b.scratch, r.id)
	var cmd *exec.Cmd
	if r.id == "cepoll" {
		if runtime.GOOS != "linux" {
			return "", errors.New("epoll is Linux's")
		}
		cmd = exec.Command("cc", "-O2", "-o", binary, filepath.Join(r.folder, "epoll.c"))
	} else {
		source := b.sources[r.id]
		if source == "" && strings.HasPrefix(r.folder, "_") {
			return "", fmt.Errorf("its source has to be given: -source %s=FOLDER", r.id)
		}
		modfile, err := b.modfile(home, r, source)
		if err != nil {
			return "", err
		}
		cmd = exec.Command("go", "build", "-modfile="+modfile, "-mod=mod", "-o", binary, "./"+r.folder)
	}
	cmd.Dir = home
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w %s", err, strings.TrimSpace(string(out)))
	}
	return binary, nil
}

// modfile writes a copy of bench/rivals/go.mod, so that the repository's own stays as it is whatever the build has to
// look up. With a source it takes the rival's module from that folder.
func (b *bench) modfile(home string, r rival, source string) (string, error) {
	text, err := os.ReadFile(filepath.Join(home, "go.mod"))
	if err != nil {
		return "", err
	}
	sums, err := os.ReadFile(filepath.Join(home, "go.sum"))
	if err != nil {
		return "", err
	}
	if source != "" {
		if source, err = filepath.Abs(source); err != nil {
			return "", err
		}
		module, _, _ := strings.Cut(r.module, " ")
		if !strings.Contains(string(text), module+" ") {
			text = fmt.Appendf(text, "\nrequire %s\n", r.module)
		}
		text = fmt.Appendf(text, "\nreplace %s => %s\n", module, source)
	}
	name := filepath.Join(b.scratch, r.id+".mod")
	if err := os.WriteFile(name, text, 0o644); err != nil {
		return "", err
	}
	return name, os.WriteFile(filepath.Join(b.scratch, r.id+".sum"), sums, 0o644)
}
