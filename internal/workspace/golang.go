package workspace

import (
	"bytes"
	"context"
	"errors"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"

	"github.com/qhubctl/qhubctl/internal/environ"
	"github.com/qhubctl/qhubctl/sdk"
)

// looksLikeGo reports whether there is a module, or Go files.
func (w *Workspace) looksLikeGo() bool {
	if exists(w.path("go.mod")) {
		return true
	}
	found, err := filepath.Glob(w.path("*.go"))
	return err == nil && len(found) > 0
}

// asGo checks the workspace as far as that is possible without the go tool. The
// folder may be a module, or a package of a larger one.
func (w *Workspace) asGo(given string) (*Workspace, error) {
	w.Language, w.Entrypoint = Go, mainEntrypoint
	if w.hasMain() {
		if moduleDir(w.Dir) == "" {
			return w, &Error{Message: given + " is in no Go module: there is no go.mod in it or above", Advice: "make a service with: qhubctl init --lang go"}
		}
		return w, nil
	}
	e := &Error{
		Message: given + " holds no service: there is no package main in it",
		Advice:  "a service in Go is a program: func main() { service.Main(run) }; `qhubctl init --lang go` makes one",
	}
	for _, dir := range []string{filepath.Join("cmd", "*"), "*"} {
		if inner := w.innerService(dir, "main.go"); inner != "" {
			e.Advice = "did you mean the folder " + filepath.Join(given, inner) + "?"
			break
		}
	}
	return w, e
}

// hasMain reports whether a file of the folder belongs to package main. It
// ignores the rules by which go chooses the files to compile: package go/build
// knows them, but loading it takes longer than all the rest.
func (w *Workspace) hasMain() bool {
	names, err := filepath.Glob(w.path("*.go"))
	if err != nil {
		return false
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.PackageClauseOnly|parser.ParseComments)
		if file == nil || file.Name == nil || file.Name.Name != "main" || err != nil {
			continue
		}
		if len(file.Comments) == 0 || file.Comments[0].List[0].Text != "//go:build ignore" {
			return true
		}
	}
	return false
}

// moduleDir is the folder of the module that dir is in; empty if in none.
func moduleDir(dir string) string { return dirAbove(dir, "go.mod") }

// dirAbove is the nearest folder, dir itself or above, that has the file.
func dirAbove(dir, file string) string {
	for {
		if info, err := os.Stat(filepath.Join(dir, file)); err == nil && info.Mode().IsRegular() {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}

// goEnvironment is the environment of a service in Go: the built program.
func (w *Workspace) goEnvironment() *Environment {
	name := "service"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return &Environment{Binary: w.path(stateDir, name), Managed: true}
}

// prepareGo builds the service, unless the program matches its sources.
func (w *Workspace) prepareGo(ctx context.Context, progress Progress) (*Environment, error) {
	env := w.goEnvironment()
	if w.built(env) {
		return env, nil
	}
	lock, err := w.state("lock")
	if err != nil {
		return nil, err
	}
	unlock, err := lockedfile.MutexAt(lock).Lock()
	if err != nil {
		return nil, &Error{Message: "cannot lock the workspace", Err: err}
	}
	defer unlock()
	if w.built(env) { // another process has just built it
		return env, nil
	}
	gotool, err := exec.LookPath("go")
	if err != nil {
		return nil, noGo()
	}
	done := progress.Step("Building the service with go build")
	err = w.build(ctx, gotool, env)
	done(err)
	return env, err
}

func noGo() *Error {
	return &Error{Message: "there is no Go on this machine", Advice: "install Go " + sdk.GoOldest + " or newer (https://go.dev/dl), and put its bin folder into PATH"}
}

// build builds the service. It records the sources before the compiler reads
// them, so that the next run sees a change in between.
func (w *Workspace) build(ctx context.Context, gotool string, env *Environment) error {
	sources, err := w.listSources(ctx, gotool)
	if err != nil {
		return err
	}
	key, err := sources.key(gotool)
	if err != nil {
		return err
	}
	temporary, err := w.state("build-" + filepath.Base(env.Binary))
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary) }()
	// Without a stamp of version control: it takes time, and fails in a folder
	// that git does not trust.
	if _, err := w.gotool(ctx, gotool, "build", "-buildvcs=false", "-o", temporary, "."); err != nil {
		return err
	}
	if err := os.Rename(temporary, env.Binary); err != nil {
		return &Error{Message: "cannot put the new program in its place", Err: err}
	}
	return w.noteBuild(sources, key, env)
}

// gotool runs the go command, and returns what it prints.
func (w *Workspace) gotool(ctx context.Context, gotool string, args ...string) ([]byte, error) {
	cmd := environ.Command(ctx, gotool, args...)
	cmd.Dir, cmd.Env = w.Dir, goEnviron(cmd.Env)
	// An interrupted go ends its children and removes its temporary files.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	if err == nil {
		return out.Bytes(), nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if _, exited := errors.AsType[*exec.ExitError](err); exited {
		err = nil // the output says more
	}
	return nil, &Error{
		Message: "the service cannot be built: go " + args[0] + " failed",
		Detail:  firstLines(said.String(), 20),
		Advice:  goHints.about(said.String(), "fix the errors above; the compiler names files relative to "+w.Dir),
		Err:     err,
	}
}

// goEnviron returns the environment of the go command. The program is built for
// this machine. The go command loads no other toolchain unless the user's
// environment asks for it.
func goEnviron(public []string) []string {
	kept := slices.DeleteFunc(public, func(entry string) bool {
		return strings.HasPrefix(entry, "GOOS=") || strings.HasPrefix(entry, "GOARCH=")
	})
	if os.Getenv("GOTOOLCHAIN") == "" {
		kept = append(kept, "GOTOOLCHAIN=local")
	}
	return kept
}

// firstLines cuts the text: with compilers the first error is the one that matters.
func firstLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) <= n {
		return strings.Join(lines, "\n")
	}
	return strings.Join(lines[:n], "\n") + "\n..."
}

var goHints = hints{
	{`(?i)no space left|ENOSPC`, "the disk is full: free some space and run the command again"},
	{`requires go >= |GOTOOLCHAIN|toolchain not available`, "install a Go as new as go.mod asks for (the SDK needs " + sdk.GoOldest + "), or let go load it: GOTOOLCHAIN=auto"},
	{`replacement directory .* does not exist|reading .*qhubctl-sdk`, "the folder with the SDK is gone: take it from version control, or from a new service made by `qhubctl init --lang go`"},
	{`(?i)dial tcp|no such host|i/o timeout|connection (refused|reset)|proxyconnect|module lookup disabled`, "the module proxy cannot be reached: check the network, GOPROXY and the proxy settings; the SDK itself needs no network"},
	{`found packages `, "a service is one package main: move the other files into a separate folder"},
	{`no required module provides package|missing go\.sum entry|updates to go\.mod needed|inconsistent vendoring|cannot find module providing`, "the modules that the code imports and go.mod do not agree: run `go mod tidy` in the folder of go.mod"},
	{`(?m)^go: .*(build cache|GOCACHE|HOME)`, "go needs a folder for its cache: set GOCACHE or HOME"},
}

// FindGo finds the go command and its version.
func FindGo(ctx context.Context) (path, version string, err error) {
	path, err = exec.LookPath("go")
	if err != nil {
		return "", "", noGo()
	}
	cmd := environ.Command(ctx, path, "env", "GOVERSION")
	cmd.Dir = os.TempDir() // where no go.mod asks for another
	cmd.Env = append(cmd.Env, "GOTOOLCHAIN=local")
	out, err := cmd.Output()
	if err != nil {
		return "", "", &Error{Message: path + " does not work", Advice: noGo().Advice, Err: err}
	}
	return path, strings.TrimSpace(string(out)), nil
}
