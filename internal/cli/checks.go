package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/qhubctl/qhubctl/internal/build"
	"github.com/qhubctl/qhubctl/internal/environ"
	"github.com/qhubctl/qhubctl/internal/hint"
	"github.com/qhubctl/qhubctl/internal/masking"
	"github.com/qhubctl/qhubctl/internal/sandbox"
	"github.com/qhubctl/qhubctl/internal/secretref"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/term"
	"github.com/qhubctl/qhubctl/internal/workspace"
)

// checkMachine checks the tools that services need. A missing tool is a problem only
// if the service in the workspace needs it.
func checkMachine(ctx context.Context, language workspace.Language) []finding {
	findings := []finding{checkPlatform()}
	tool := func(check string, needed bool, find func(context.Context) (path, version string, err error)) {
		path, version, err := find(ctx)
		switch {
		case err == nil:
			findings = append(findings, finding{check, isOK, version + " at " + path, ""})
		case needed:
			findings = append(findings, finding{check, isProblem, err.Error(), advice(err)})
		default:
			findings = append(findings, finding{check, isWarning, err.Error() + "; only services in it need it", advice(err)})
		}
	}
	tool("python", language == workspace.Python || language == "", workspace.FindPython)
	if uv, err := exec.LookPath("uv"); err == nil {
		findings = append(findings, finding{"uv", isOK, uv, ""})
	} else if language == workspace.Python || language == "" {
		findings = append(findings, finding{
			"uv", isWarning, "not installed; environments are made with venv and pip, which takes longer",
			"install uv: pip install uv",
		})
	}
	tool("go", language == workspace.Go, workspace.FindGo)
	return append(findings, checkSandbox()...)
}

// checkSandbox checks which sandbox layers this machine provides. A missing layer is
// a warning: services still run, with less protection.
func checkSandbox() []finding {
	machine := sandbox.Detect(sandbox.Options{})
	defer machine.Close()
	gpus := "none that a service could use by gpu = 1"
	if found := sandbox.GPUs(); len(found) > 0 {
		gpus = strings.Join(found, ", ")
	}
	findings := []finding{{"gpus", isOK, gpus, ""}}
	for _, layer := range machine.Layers() {
		f := finding{"sandbox: " + layer.Name, isOK, layer.Says, ""}
		switch {
		case layer.Held:
		case layer.Optional:
			f.Says = "not here: " + layer.Says
		default:
			f.Status, f.Says, f.Advice = isWarning, "missing: "+layer.Says, "without it, "+layer.Exposes
		}
		findings = append(findings, f)
	}
	return findings
}

func checkPlatform() finding {
	f := finding{"platform", isOK, runtime.GOOS + "/" + runtime.GOARCH, ""}
	switch runtime.GOOS {
	case "linux":
	case "darwin":
		f.Status, f.Advice = isWarning, "on macOS, processes of a service that leave its process group are not ended with it; on Linux they are"
	default:
		f.Status, f.Advice = isWarning, "here, Ctrl-C ends a service at once and may leave its children; Linux ends the whole tree"
	}
	return f
}

// advice is the hint of an error, as the table of doctor shows it.
func advice(err error) string { return strings.ReplaceAll(hint.Of(err), "\n", "\n           ") }

// checkWorkspace checks the service in a folder step by step, and stops at a step
// without which the next ones cannot run.
func checkWorkspace(ctx context.Context, streams *term.Streams, o serviceOptions) []finding {
	w, err := o.build().Locate()
	if err != nil {
		status := isProblem
		if o.dir == "." { // the user may not have meant this folder
			status = isWarning
		}
		return []finding{{"workspace", status, err.Error(), advice(err)}}
	}
	findings := []finding{{"workspace", isOK, w.Name + " at " + w.Dir, ""}}
	findings = append(findings, checkEnvFile(ctx, w)...)
	files, err := secretref.ReadFiles(o.envFile, w.EnvFile())
	if err != nil {
		return append(findings, finding{"env file", isProblem, err.Error(), "correct the line, or quote the value"})
	}
	for _, line := range files.Odd() {
		findings = append(findings, finding{"env file", isWarning, "left out " + line.Error(), "correct the line, or make it a comment"})
	}
	state, env := w.EnvironmentState()
	if o.python != "" {
		if env, err = w.WithPython(o.python); err != nil {
			return append(findings, finding{"environment", isProblem, err.Error(), advice(err)})
		}
		state = workspace.UserManaged
	}
	findings = append(findings, checkEnvironment(w, state, env))
	if state != workspace.Ready && state != workspace.UserManaged {
		return findings
	}
	s, err := build.New(w, env, files)
	if err != nil {
		return append(findings, finding{"cache", isProblem, err.Error(), advice(err)})
	}
	described, err := s.Signature(ctx, streams.Log(), build.Confinement{})
	if err != nil {
		return append(findings, finding{"service", isProblem, err.Error(), advice(err)})
	}
	sdk := described.SDK.Name + " " + described.SDK.Version
	findings = append(findings, finding{
		"service", isOK, fmt.Sprintf("%s with %d parameters; SDK %s", w.Entrypoint, len(described.Parameters), sdk), "",
	})
	for _, warning := range described.Warnings {
		findings = append(findings, finding{"description", isWarning, warning.String(), ""})
	}
	return append(findings, checkSecrets(s, described)...)
}

func checkEnvironment(w *workspace.Workspace, state workspace.State, env *workspace.Environment) finding {
	switch state {
	case workspace.Ready:
		return finding{"environment", isOK, withOrigin(env.Path()+", made by qhubctl, up to date", env), ""}
	case workspace.UserManaged:
		return finding{"environment", isOK, withOrigin(env.Path()+", yours, used unchanged", env), ""}
	case workspace.Broken:
		return finding{
			"environment", isProblem, "there is no Python at " + env.Python,
			"make it again (uv venv && uv sync), or delete the folder .venv and let qhubctl make one",
		}
	default:
		if err := w.CheckPlan(); err != nil {
			return finding{"environment", isProblem, err.Error(), hint.Of(err)}
		}
		return finding{"environment", isWarning, "not made yet, or outdated; the next run makes it", "qhubctl run, or qhubctl describe"}
	}
}

// withOrigin appends to a text how an environment was made.
func withOrigin(text string, env *workspace.Environment) string {
	if env.Origin == "" {
		return text
	}
	return text + ": " + env.Origin
}

// checkEnvFile checks whether other users or git can read .env.
func checkEnvFile(ctx context.Context, w *workspace.Workspace) []finding {
	info, err := os.Stat(w.EnvFile())
	if err != nil {
		return nil
	}
	f := finding{"env file", isOK, w.EnvFile(), ""}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o044 != 0 {
		f.Status, f.Advice = isWarning, "others on this machine can read it: chmod 600 "+w.EnvFile()
	}
	if git, err := exec.LookPath("git"); err == nil {
		name := filepath.Base(w.EnvFile())
		if environ.Command(ctx, git, "-C", w.Dir, "ls-files", "--error-unmatch", name).Run() == nil {
			f.Status = isProblem
			f.Advice = "git tracks it: run git rm --cached .env, add it to .gitignore, and replace the secrets in it"
		} else if code := exitCode(environ.Command(ctx, git, "-C", w.Dir, "check-ignore", "-q", name)); code == 1 {
			f.Status, f.Advice = isProblem, "git does not ignore it: add the line .env to .gitignore"
		}
	}
	return []finding{f}
}

// exitCode runs a command and returns its exit code, or -1 if it does not start.
func exitCode(cmd *exec.Cmd) int {
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		return -1
	}
	return cmd.ProcessState.ExitCode()
}

func checkSecrets(s *build.Service, described *signature.Signature) []finding {
	finder := secretref.NewFinder(nil, s.Files)
	var findings []finding
	for _, p := range described.Of(signature.Secret) {
		f := finding{"secret " + p.Name, isOK, "", ""}
		found, ok := finder.Find(p)
		var refused error
		if ok {
			refused = found.Check(p.Name)
		}
		switch {
		case refused != nil:
			f.Status, f.Says = isProblem, refused.Error()
		case ok:
			f.Says = p.Env + " from " + found.From
			if warning := masking.Warning("it", found.Value.Reveal()); warning != "" {
				f.Status, f.Says, f.Advice = isWarning, f.Says+"; "+warning, "use a longer, random value"
			}
		case p.Required:
			f.Status, f.Says = isWarning, p.Env+" is not given"
			f.Advice = fmt.Sprintf("export %s=…, or a line in .env, or --secret %s", p.Env, p.Name)
		default:
			f.Says = p.Env + " is not given, and optional"
		}
		findings = append(findings, f)
	}
	for _, warning := range build.UntakenWarnings(finder, described) {
		findings = append(findings, finding{"secrets", isWarning, warning, "unset the variable, or rename it if it is no secret"})
	}
	return findings
}
