package cli

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

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/redact"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/secretref"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/term"
	"github.com/qhubctl/qhubctl/internal/workspace"
)

// serviceOptions say which service a command is about.
type serviceOptions struct {
	dir        string
	entrypoint string
	python     string
	envFile    string
}

func (o *serviceOptions) flags(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&o.entrypoint, "entrypoint", "", "the function to run of a service in Python, as module:function (default "+workspace.DefaultEntrypoint+")")
	flags.StringVar(&o.python, "python", "", "run with this Python as it is, instead of the workspace's .venv")
	flags.StringVar(&o.envFile, "env-file", "", "read variables and secrets from this file too, before .env")
	_ = command.MarkFlagFilename("python")
	_ = command.MarkFlagFilename("env-file")
}

// service is a workspace with its environment, ready to run. What it is
// written in is known to these two alone.
type service struct {
	workspace *workspace.Workspace
	env       *workspace.Environment
	program   process.Program
	files     *secretref.Files
	key       string
	// watched is what a server reloads the service for, when it changes.
	watched string
	// masker knows all that may be a secret before the service is described: a
	// module may read .env by itself while it is imported. descriptionMasker
	// knows those of them that are not weak: the text of a weak one stands in a
	// description by chance.
	masker, descriptionMasker *redact.Masker
	// sandbox is what a server shuts its processes in, describeLimits what they
	// may use when they describe it; nil: nothing.
	sandbox        *process.Sandbox
	describeLimits runner.Limits
	// server are secrets of the server itself, and snapshot is what its executions
	// see of the workspace; nil: the workspace itself.
	server   []plaintext.Named
	snapshot *workspace.Snapshot
}

// masked are all values that no execution may show.
func (s *service) masked(finder *secretref.Finder) []plaintext.Named {
	return append(finder.AllValues(), s.server...)
}

// mask makes the maskers of the values that are known to be secret.
func (s *service) mask(known []plaintext.Named) {
	var strong []plaintext.Named
	for _, value := range known {
		if plaintext.Weak(value.Value.Reveal()) == "" {
			strong = append(strong, value)
		}
	}
	s.masker, s.descriptionMasker = newMasker(known), newMasker(strong)
}

func newMasker(known []plaintext.Named) *redact.Masker {
	secrets := make([]redact.Secret, len(known))
	for i, value := range known {
		secrets[i] = redact.Secret{Name: value.Name, Value: value.Value.Reveal()}
	}
	return redact.New(secrets)
}

// locate finds the workspace.
func (o *serviceOptions) locate() (*workspace.Workspace, error) {
	w, err := workspace.Open(o.dir)
	if o.entrypoint != "" && w != nil {
		return w.WithEntrypoint(o.entrypoint)
	}
	return w, err
}

// envFileError is a file of variables that cannot be read.
type envFileError struct{ err error }

func (e *envFileError) Error() string { return "cannot read the environment file: " + e.err.Error() }
func (e *envFileError) Unwrap() error { return e.err }
func (e *envFileError) Hint() string {
	if errors.Is(e.err, fs.ErrNotExist) {
		return "name a file that exists, or leave --env-file out"
	}
	return "a line is NAME=value; put quotes around a value that spans lines"
}

// open finds the service and prepares its environment.
func (o *serviceOptions) open(ctx context.Context, streams *term.Streams) (*service, error) {
	w, err := o.locate()
	if err != nil {
		return nil, err
	}
	if file, err := filepath.Abs(o.envFile); err == nil && o.envFile != "" {
		w.Settings = []string{file}
	}
	s := &service{workspace: w}
	// Before anything is installed: a broken file is found at once.
	if s.files, err = secretref.ReadFiles(o.envFile, w.EnvFile()); err != nil {
		return nil, &envFileError{err}
	}
	for _, line := range s.files.Odd() {
		streams.Warn("left out %v", line)
	}
	s.mask(secretref.NewFinder(nil, s.files).AllValues())
	if o.python != "" {
		s.env, err = w.WithPython(o.python)
	} else {
		s.env, err = w.Prepare(ctx, streams)
	}
	if err != nil {
		return nil, err
	}
	s.key = w.SourceKey(s.env)
	s.program, err = w.Program(s.env)
	return s, err
}

// environment is what the process of the service sees, but for its secrets.
func (s *service) environment(dir runner.Dir) runner.Environment {
	env := runner.BaseEnvironment()
	// On the user's own machine their home is the service's: packages keep
	// models and settings there.
	for _, name := range []string{"HOME", "USERPROFILE", "USER", "LOGNAME"} {
		if value, ok := os.LookupEnv(name); ok {
			env[name] = value
		}
	}
	maps.Copy(env, s.workspace.Variables())
	maps.Copy(env, s.files.Plain())
	env.Place(dir)
	env["ENTRYPOINT"] = s.workspace.Entrypoint
	env["WORKSPACE"] = s.workspace.Dir
	s.env.Activate(env)
	return env
}

// command is how a process of the service is started.
func (s *service) command(dir runner.Dir, stdout, stderr io.Writer) process.Command {
	return process.Command{
		Dir: s.workspace.Dir, Env: s.environment(dir).List(), Stdout: stdout, Stderr: stderr,
	}
}

// describeTime is how long a service in a sandbox may take to be imported and
// described: nobody is there to see that it never ends.
const describeTime = time.Minute

// confinedCommand is how a process that describes the service is started: in
// the sandbox of a server, with a home of its own, else as it is run here.
func (s *service) confinedCommand(dir runner.Dir, stdout, stderr io.Writer) process.Command {
	if !s.sandbox.Confines() {
		return s.command(dir, stdout, stderr)
	}
	r := process.Runner{Program: s.program, Dir: s.workspace.Dir, Environment: s.environment(dir), Sandbox: s.sandbox}
	return r.Command(runner.Job{Stdout: stdout, Stderr: stderr, Limits: s.describeLimits}, dir)
}

// describe takes the description from a process that was started for it.
func (s *service) describe(ctx context.Context, e process.Execution) (*signature.Signature, error) {
	document, err := e.Describe(ctx)
	if errors.Is(err, process.ErrNotDescribed) {
		return nil, &undescribedError{err, s.workspace.Language}
	}
	if err != nil {
		return nil, err
	}
	document = maskDescription(s.descriptionMasker, document)
	described, err := signature.Parse(document)
	if broken, ok := errors.AsType[*signature.DescribeError](err); ok {
		broken.Message, broken.Traceback = s.masker.String(broken.Message), s.masker.String(broken.Traceback)
		return nil, &describeError{broken, s.workspace.Language, s.env}
	}
	if err != nil {
		return nil, &undescribedError{err, s.workspace.Language}
	}
	s.workspace.CacheSignature(s.key, document)
	return described, nil
}

// signature describes the service, in a process only if it has changed. What
// it prints while it is imported goes to log.
func (s *service) signature(ctx context.Context, log io.Writer) (*signature.Signature, error) {
	if described, ok := s.workspace.CachedSignature(s.key); ok {
		return described, nil
	}
	dir, err := runner.NewDir("")
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Remove() }()
	stdout, stderr := s.masker.Writer(log), s.masker.Writer(log)
	defer func() { _ = errors.Join(stdout.Close(), stderr.Close()) }() // the description is what counts
	e, err := s.program.Start(s.confinedCommand(dir, stdout, stderr), true)
	if err != nil {
		return nil, err
	}
	limited, cancel := ctx, func() {}
	if s.sandbox.Confines() {
		limited, cancel = context.WithTimeout(ctx, describeTime)
	}
	defer cancel()
	described, err := s.describe(limited, e)
	if ctx.Err() == nil && limited.Err() != nil {
		err = &undescribedError{fmt.Errorf("%w: it was ended after %s", process.ErrNotDescribed, describeTime), s.workspace.Language}
	}
	if err != nil {
		e.Stop(terminate, 0)
	}
	e.Finish()
	if _, waited := e.Wait(); err == nil {
		err = waited
	}
	return described, err
}
