package workspace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/qhubctl/qhubctl/internal/environ"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/sdk"
)

// makeEnvironment makes .venv from nothing. The stamp says "being made" until it
// is complete, so that a half-made environment is never used.
func (w *Workspace) makeEnvironment(ctx context.Context, env *Environment, p *plan, key string, progress Progress) error {
	install := installer{workspace: w, env: env, plan: p}
	var err error
	if install.uv, err = exec.LookPath("uv"); err != nil {
		install.uv = ""
		if err := p.checkUV(); err != nil {
			return err
		}
	}
	if err := w.writeStamp(stamp{}); err != nil {
		return err
	}
	if err := os.RemoveAll(env.Dir); err != nil {
		return &Error{Message: "cannot remove the outdated " + env.Dir, Err: err}
	}
	if install.wheel, err = w.placeWheel(); err != nil {
		return err
	}
	if err := install.run(ctx, progress); err != nil {
		return err
	}
	config, err := hashFile(filepath.Join(env.Dir, "pyvenv.cfg"))
	if err != nil {
		return &Error{Message: "the new environment is not complete", Err: err}
	}
	env.Origin = install.origin()
	return w.writeStamp(stamp{Key: key, Config: config, Origin: env.Origin})
}

// placeWheel writes our SDK to a place that an installer can read; empty if the
// workspace wants the published one.
func (w *Workspace) placeWheel() (string, error) {
	if w.UpstreamSDK {
		return "", nil
	}
	wheel, err := sdk.PythonWheel()
	if err != nil {
		return "", err
	}
	path, err := w.state(wheel.Name)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(path, wheel.Content, 0o600); err != nil {
		return "", &Error{Message: "cannot place the Python SDK", Err: err}
	}
	return path, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// cancelTime is how long an installer may take to end after an interrupt.
const cancelTime = 5 * time.Second

// command runs an installer. The installer sees no secrets, because it runs the
// build scripts of other people's packages. We pass Ctrl-C at the terminal on to
// it and to all processes that it has started.
func (i installer) command(ctx context.Context, program string, args ...string) error {
	return i.commandIn(ctx, i.workspace.Dir, nil, program, args...)
}

// commandIn is command in another folder, with more variables.
func (i installer) commandIn(ctx context.Context, dir string, env []string, program string, args ...string) error {
	var output sharedBuffer
	p, err := process.Start(process.Command{
		Path: program, Args: args, Dir: dir, Env: append(installerEnviron(environ.Public()), env...), Stdout: &output, Stderr: &output,
	}, nil)
	var outcome process.Outcome
	if err == nil {
		left := context.AfterFunc(ctx, func() { p.Stop(os.Interrupt, cancelTime) })
		outcome, err = p.Wait()
		left()
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil && outcome == process.Outcome{}:
		return nil
	case err == nil && outcome.Signal != "":
		err = fmt.Errorf("ended by %s", outcome.Signal)
	case err == nil:
		err = fmt.Errorf("exit status %d", outcome.ExitCode)
	}
	return &Error{
		Message: "cannot prepare the environment: " + filepath.Base(program) + " failed",
		Detail:  lastLines(output.String(), 12),
		Advice:  installHints.about(output.String(), "remove the cause above, then run the command again"),
		Err:     err,
	}
}

// sharedBuffer takes both outputs of a process.
type sharedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *sharedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// String returns the output of a process that has ended.
func (b *sharedBuffer) String() string { return b.text.String() }

// installerEnviron is an environment without the variables that point Python's
// installers at packages other than those of the workspace.
func installerEnviron(public []string) []string {
	return slices.DeleteFunc(public, func(entry string) bool {
		return strings.HasPrefix(entry, "PYTHONPATH=") || strings.HasPrefix(entry, "VIRTUAL_ENV=")
	})
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// hints map errors of another program to advice. The signs are regular
// expressions, compiled only after a failure.
type hints []struct{ sign, text string }

func (all hints) about(output, otherwise string) string {
	for _, h := range all {
		if regexp.MustCompile(h.sign).MatchString(output) {
			return h.text
		}
	}
	return otherwise
}

var installHints = hints{
	{`(?i)no space left|ENOSPC`, "the disk is full: free some space and run the command again"},
	{`(?i)conflict|incompatible|unsatisfiable`, "the project's requirements cannot be met together with the SDK of qhubctl (qhub-commons 1.2); loosen them, or set sdk = \"published\" under [tool.qhubctl] in pyproject.toml"},
	{`(?i)temporary failure in name resolution|failed to establish|connection (refused|error|reset)|error sending request|dns error|network is unreachable|timed out|client error \(connect\)`, "the package index cannot be reached: check the network or the proxy; an environment that exists, in .venv, is used without a network"},
	{`(?i)no module named (venv|ensurepip)|ensurepip is not`, "this Python cannot make environments: install its venv module (Debian: python3-venv), or install uv"},
	{`\(from versions: none\)`, "check the name of the package, and whether the package index can be reached and has it"},
	{`(?i)no (matching distribution|solution found)|requires-python|not supported`, "check the names, versions and requires-python in pyproject.toml or requirements.txt"},
}
