// Package build turns a workspace into a service that is ready to run: it prepares the
// environment, describes the service, and chooses how it starts.
package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/qhubctl/qhubctl/internal/environ"
	"github.com/qhubctl/qhubctl/internal/interrupt"
	"github.com/qhubctl/qhubctl/internal/masking"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/redact"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/secretref"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/workspace"
)

// Options select the service to open.
type Options struct {
	Dir string
	// Entrypoint is the function of a service in Python. Empty: the default.
	Entrypoint string
	// Python is an interpreter to use, unchanged, instead of the workspace's own.
	Python string
	// EnvFile is an additional file of variables, which is read before .env.
	EnvFile string
	// References has secrets in files be references, as the workspace can, too.
	References bool
}

// Reporter reports progress and warnings to the user.
type Reporter interface {
	workspace.Progress
	Warn(format string, args ...any)
}

// A Service is a workspace with its environment, ready to run. Other packages
// need not know its language.
type Service struct {
	Workspace   *workspace.Workspace
	Environment *workspace.Environment
	Program     process.Program
	Files       *secretref.Files
	// Key identifies the sources and the environment. It is empty if they have no
	// hash.
	Key string
	// Masker masks all values that may be secrets before the service is described: a
	// module may read .env during its import.
	Masker *redact.Masker
	// Hosted are further variables of a service that somebody else has written, on a
	// server of many. Not nil, even if empty: its processes get nothing of the
	// user that runs the server.
	Hosted map[string]string
	// descriptionMasker masks only values that are not weak: a weak value may be a part
	// of a description by chance.
	descriptionMasker *redact.Masker
}

// Locate finds the workspace.
func (o Options) Locate() (*workspace.Workspace, error) {
	w, err := workspace.Open(o.Dir)
	if o.Entrypoint != "" && w != nil {
		return w.WithEntrypoint(o.Entrypoint)
	}
	return w, err
}

// ReadFiles reads the files of variables for a workspace.
func (o Options) ReadFiles(w *workspace.Workspace) (*secretref.Files, error) {
	files, err := secretref.ReadFiles(o.EnvFile, w.EnvFile())
	if err != nil {
		return nil, &envFileError{err}
	}
	return files, nil
}

// envFileError is the error of a file of variables that cannot be read.
type envFileError struct{ err error }

func (e *envFileError) Error() string { return "cannot read the environment file: " + e.err.Error() }
func (e *envFileError) Unwrap() error { return e.err }
func (e *envFileError) Hint() string {
	if errors.Is(e.err, fs.ErrNotExist) {
		return "name a file that exists, or leave --env-file out"
	}
	return "a line is NAME=value; put quotes around a value that spans lines"
}

// Open finds the service and prepares its environment.
func Open(ctx context.Context, o Options, reporter Reporter) (*Service, error) {
	w, err := o.Locate()
	if err != nil {
		return nil, err
	}
	if file, err := filepath.Abs(o.EnvFile); err == nil && o.EnvFile != "" {
		w.Settings = []string{file}
	}
	// The files are read before anything is installed, to report errors in them at once.
	files, err := o.ReadFiles(w)
	if err != nil {
		return nil, err
	}
	if o.References || w.References {
		files.UseReferences()
	}
	for _, line := range files.Odd() {
		reporter.Warn("left out %v", line)
	}
	var env *workspace.Environment
	if o.Python != "" {
		env, err = w.WithPython(o.Python)
	} else {
		env, err = w.Prepare(ctx, reporter)
	}
	if err != nil {
		return nil, err
	}
	return New(w, env, files)
}

// New makes a service from a workspace whose environment is ready.
func New(w *workspace.Workspace, env *workspace.Environment, files *secretref.Files) (*Service, error) {
	s := &Service{Workspace: w, Environment: env, Files: files, Key: w.SourceKey(env)}
	s.Mask(secretref.NewFinder(nil, files).AllValues())
	var err error
	s.Program, err = w.Program(env)
	return s, err
}

// Mask makes the maskers for all values that are known to be secret.
func (s *Service) Mask(known []plaintext.Named) {
	var strong []plaintext.Named
	for _, value := range known {
		if plaintext.Weak(value.Value.Reveal()) == "" {
			strong = append(strong, value)
		}
	}
	s.Masker, s.descriptionMasker = newMasker(known), newMasker(strong)
}

func newMasker(known []plaintext.Named) *redact.Masker {
	secrets := make([]redact.Secret, len(known))
	for i, value := range known {
		secrets[i] = masking.Secret(value)
	}
	return redact.New(secrets)
}

// Variables returns the variables of the service's process, except its secrets.
func (s *Service) Variables(dir runner.Dir) runner.Environment {
	env := runner.BaseEnvironment()
	if s.Hosted != nil {
		maps.DeleteFunc(env, func(_, value string) bool { return environ.HasPassword(value) })
		maps.Copy(env, s.Workspace.SetVariables())
		maps.Copy(env, s.Hosted)
		return s.placed(env, dir)
	}
	// On the user's machine the service gets the user's home, where packages keep models
	// and settings.
	for _, name := range []string{"HOME", "USERPROFILE", "USER", "LOGNAME"} {
		if value, ok := os.LookupEnv(name); ok {
			env[name] = value
		}
	}
	maps.Copy(env, s.Workspace.Variables())
	maps.Copy(env, s.Files.Plain())
	return s.placed(env, dir)
}

// placed adds what qhubctl sets.
func (s *Service) placed(env runner.Environment, dir runner.Dir) runner.Environment {
	env.Place(dir)
	env["ENTRYPOINT"] = s.Workspace.Entrypoint
	env["WORKSPACE"] = s.Workspace.Dir
	s.Environment.Activate(env)
	return env
}

// Command returns the command that starts the service without a sandbox.
func (s *Service) Command(dir runner.Dir, stdout, stderr io.Writer) process.Command {
	return process.Command{
		Dir: s.Workspace.Dir, Env: s.Variables(dir).List(), Stdout: stdout, Stderr: stderr,
	}
}

// Confinement is the sandbox and the limits of the process that describes a service. The
// zero value confines nothing.
type Confinement struct {
	Sandbox *process.Sandbox
	Limits  runner.Limits
}

// describeTime is how long the import and the description of a sandboxed service may
// take: on a server no user watches them.
const describeTime = time.Minute

// confinedCommand returns the command that describes the service. With a confinement it
// runs in that sandbox with a separate home, else like a run on this machine.
func (s *Service) confinedCommand(c Confinement, dir runner.Dir, stdout, stderr io.Writer) process.Command {
	if !c.Sandbox.Confines() {
		return s.Command(dir, stdout, stderr)
	}
	r := process.Runner{Program: s.Program, Dir: s.Workspace.Dir, Environment: s.Variables(dir), Sandbox: c.Sandbox}
	return r.Command(runner.Job{Stdout: stdout, Stderr: stderr, Limits: c.Limits}, dir)
}

// Describe reads the description from a process that was started for it.
func (s *Service) Describe(ctx context.Context, e process.Execution) (*signature.Signature, error) {
	document, err := e.Describe(ctx)
	if errors.Is(err, process.ErrNotDescribed) {
		return nil, &undescribedError{err, s.Workspace.Language}
	}
	if err != nil {
		return nil, err
	}
	document = maskDescription(s.descriptionMasker, document)
	described, err := signature.Parse(document)
	if broken, ok := errors.AsType[*signature.DescribeError](err); ok {
		broken.Message, broken.Traceback = s.Masker.String(broken.Message), s.Masker.String(broken.Traceback)
		return nil, &describeError{broken, s.Workspace.Language, s.Environment}
	}
	if err != nil {
		return nil, &undescribedError{err, s.Workspace.Language}
	}
	s.Workspace.CacheSignature(s.Key, document)
	return described, nil
}

// CachedSignature returns the last description, if the service has not changed since.
func (s *Service) CachedSignature() (*signature.Signature, bool) {
	return s.Workspace.CachedSignature(s.Key)
}

// Signature returns the description of the service. It starts a process only if the
// service has changed. The output of the import goes to log.
func (s *Service) Signature(ctx context.Context, log io.Writer, c Confinement) (*signature.Signature, error) {
	if described, ok := s.CachedSignature(); ok {
		return described, nil
	}
	dir, err := runner.NewDir("")
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Remove() }()
	stdout, stderr := s.Masker.Writer(log), s.Masker.Writer(log)
	defer func() { _ = errors.Join(stdout.Close(), stderr.Close()) }() // errors of the log do not matter for the description
	e, err := s.Program.Start(s.confinedCommand(c, dir, stdout, stderr), true)
	if err != nil {
		return nil, err
	}
	limited, cancel := ctx, func() {}
	if c.Sandbox.Confines() {
		limited, cancel = context.WithTimeout(ctx, describeTime)
	}
	defer cancel()
	described, err := s.Describe(limited, e)
	if ctx.Err() == nil && limited.Err() != nil {
		err = &undescribedError{fmt.Errorf("%w: it was ended after %s", process.ErrNotDescribed, describeTime), s.Workspace.Language}
	}
	if err != nil {
		e.Stop(interrupt.Terminate, 0)
	}
	e.Finish()
	if _, waited := e.Wait(); err == nil {
		err = waited
	}
	return described, err
}
