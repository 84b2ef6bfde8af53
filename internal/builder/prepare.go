package builder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/qhubctl/qhubctl/internal/environ"
	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/sandbox"
	"github.com/qhubctl/qhubctl/internal/workspace"
)

// Prepare makes the environment of the workspace in a folder. It is for a process in
// the sandbox of a build, which [Options].Program starts.
func Prepare(ctx context.Context, dir string, log io.Writer) error {
	w, err := workspace.Open(dir)
	if err != nil {
		return err
	}
	_, err = w.Prepare(ctx, stepLog{log})
	return err
}

// stepLog prints the steps of a preparation.
type stepLog struct{ w io.Writer }

func (l stepLog) Step(what string) func(error) {
	_, _ = fmt.Fprintln(l.w, what)
	return func(error) {}
}

// prepare makes the environment in a sandbox, and checks what that has left.
func (b *Builder) prepare(ctx context.Context, r registry.Revision, report Reporter) error {
	w, err := b.workspaceOf(r)
	if err != nil || w.Language != workspace.Python {
		return err
	}
	python, err := findPython(ctx, w)
	if err != nil {
		return asFailure(err)
	}
	dir := runner.DirAt(filepath.Join(b.Dir, r.ID, "build"))
	for _, folder := range []string{dir.Home(), dir.Temp()} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return err
		}
	}
	if b.Machine.Confines() {
		if err := openUp(w.Dir); err != nil {
			return err
		}
	}
	lines := newLineWriter(func(line string) { report.Say("INFO", strings.ReplaceAll(line, w.Dir+"/", "")) })
	outcome, err := b.runPrepare(ctx, w, dir, python, lines)
	lines.flush()
	if err == nil {
		err = b.settleWorkspace(ctx, w)
	}
	if err == nil { // an installer may have changed them
		err = checkSettings(w.Dir)
	}
	if err == nil { // the server writes there next: an installer may have left links
		err = runner.RemoveAll(w.StateDir())
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return err
	case outcome.Limit != runner.NoLimit:
		return failure("the build ran into its limit of " + limitName(outcome.Limit))
	case outcome.ExitCode != 0:
		return failure("the environment could not be prepared", lines.last()...)
	}
	return runner.RemoveAll(dir.Root())
}

// settleWorkspace has every execution read all of a workspace, as a fork must.
func (b *Builder) settleWorkspace(ctx context.Context, w *workspace.Workspace) error {
	if w.Language != workspace.Python { // others have no forks, and their archive has no links
		return nil
	}
	python, err := findPython(ctx, w)
	if err != nil {
		return err
	}
	return settle(w.Dir, filepath.Dir(filepath.Dir(python)), b.Limits.Disk)
}

func limitName(l runner.Limit) string {
	switch l {
	case runner.MemoryLimit:
		return "memory"
	case runner.ProcessLimit:
		return "processes"
	case runner.CPUTimeLimit:
		return "processor time"
	default:
		return "resources"
	}
}

// killTime is how long installers may take to end when they are asked to.
const killTime = 2 * time.Second

// runPrepare runs the preparation and waits for it.
func (b *Builder) runPrepare(ctx context.Context, w *workspace.Workspace, dir runner.Dir, python string, lines *lineWriter) (process.Outcome, error) {
	program := slices.Concat(b.Program, []string{w.Dir})
	env, shown := installerEnvironment(python)
	home, temp := dir.Home(), dir.Temp()
	command := process.Command{Path: program[0], Args: program[1:], Dir: w.Dir, Stdout: lines, Stderr: lines}
	if b.Machine.Confines() {
		policy := sandbox.Policy{
			Writable: []string{w.Dir, temp}, Scratch: []string{home}, Home: home, Hidden: b.Hidden,
			Readable: slices.Concat(shown, []string{program[0], filepath.Dir(filepath.Dir(python))}),
			Limits:   sandbox.Limits{Memory: b.Limits.Memory, Processes: b.Limits.Processes, FileSize: b.Limits.Disk, Temp: 512 << 20},
		}
		command.Sandbox = &process.Sandbox{Machine: b.Machine, Policy: policy}
		home = b.Machine.Home(home)
	}
	command.Env = slices.Concat(env, []string{"HOME=" + home, "TMPDIR=" + temp})
	p, err := process.Start(command, nil)
	if err != nil {
		return process.Outcome{}, err
	}
	left := context.AfterFunc(ctx, func() { p.Stop(os.Interrupt, killTime) })
	full := watchSize(w.Dir, b.Limits.Disk, func() { p.Stop(os.Kill, 0) })
	outcome, err := p.Wait()
	left()
	if full() {
		return outcome, failure(fmt.Sprintf("the workspace and its environment have more than %d MiB", b.Limits.Disk>>20))
	}
	return outcome, err
}

// findPython is an interpreter that suits the workspace, by its own path: version
// managers put scripts in its place, which need what a sandbox hides.
func findPython(ctx context.Context, w *workspace.Workspace) (string, error) {
	python, err := w.FindPython(ctx)
	if err != nil {
		return "", err
	}
	out, err := environ.Command(ctx, python, "-I", "-c", "import os, sys; print(os.path.realpath(sys._base_executable))").Output()
	if err != nil {
		return "", fmt.Errorf("find the interpreter behind %s: %w", python, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// installerEnvironment is what installers see of the environment of the server:
// where the package index is. A variable with a password in an address is left out.
// It returns the files and folders that they name, too.
func installerEnvironment(python string) (env, shown []string) {
	base := runner.BaseEnvironment()
	maps.DeleteFunc(base, func(_, value string) bool { return environ.HasPassword(value) })
	base.PrependPath(filepath.Dir(python))
	if uv, err := exec.LookPath("uv"); err == nil {
		shown = append(shown, uv)
	}
	for _, entry := range environ.Public() {
		name, value, _ := strings.Cut(entry, "=")
		upper := strings.ToUpper(name)
		if !strings.HasPrefix(upper, "PIP_") && !strings.HasPrefix(upper, "UV_") || environ.HasPassword(value) {
			continue
		}
		base[name] = value
	}
	for _, value := range base {
		for word := range strings.FieldsSeq(value) {
			if _, err := os.Stat(word); err == nil && filepath.IsAbs(word) && filepath.Clean(word) == word && word != "/" {
				shown = append(shown, word)
			}
		}
	}
	base["PIP_NO_CACHE_DIR"], base["UV_NO_CACHE"], base["UV_PYTHON_DOWNLOADS"], base["UV_LINK_MODE"] = "1", "1", "never", "copy"
	delete(base, "UV_CACHE_DIR")
	delete(base, "PIP_CACHE_DIR")
	return base.List(), shown
}

var errFull = errors.New("too large")
