// Package builder makes revisions of services from uploaded archives: it checks and
// unpacks the archive, prepares the environment, and describes the service.
//
// What comes from the archive never runs outside a sandbox. The environment is
// prepared by this program, started again in a separate sandbox ([Prepare]),
// which sees no secret and no other revision. Afterwards the folder is checked:
// its links must not lead out of it.
//
//	DIR/ID/work/      the workspace of a revision, with its environment in .venv
//	DIR/ID/complete   says that all of it is there
package builder

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/qhubctl/qhubctl/internal/archive"
	"github.com/qhubctl/qhubctl/internal/blob"
	"github.com/qhubctl/qhubctl/internal/build"
	"github.com/qhubctl/qhubctl/internal/environ"
	"github.com/qhubctl/qhubctl/internal/limits"
	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/sandbox"
	"github.com/qhubctl/qhubctl/internal/secretref"
	"github.com/qhubctl/qhubctl/internal/workspace"
)

// Options say where and how a builder works. Dir, Blobs and Program are needed.
type Options struct {
	// Dir is the folder of all revisions.
	Dir string
	// Blobs has the archives.
	Blobs blob.Store
	// Machine is what builds and executions are confined by; nil: they are not.
	Machine *sandbox.Machine
	// Program is the command line, without the folder, of [Prepare] in a process of
	// its own.
	Program []string
	// Hidden are folders and files that neither builds nor executions may see, such
	// as the data folder of the server.
	Hidden []string
	// Limits bound one build. Zero values take the defaults.
	Limits Limits
	Log    *slog.Logger
}

// Limits bound one build.
type Limits struct {
	Time      time.Duration // 10 minutes
	Memory    int64         // 2 GiB
	Processes int           // 512
	// Disk is what the workspace and its environment may have together: 4 GiB.
	Disk    int64
	Archive archive.Limits
}

func (l *Limits) fill() {
	l.Time = cmp.Or(l.Time, 10*time.Minute)
	l.Memory = cmp.Or(l.Memory, 2<<30)
	l.Processes = cmp.Or(l.Processes, 512)
	l.Disk = cmp.Or(l.Disk, 4<<30)
}

// A Builder builds revisions. It is safe for concurrent use.
type Builder struct {
	Options

	mu   sync.Mutex
	held map[string]int // how many runners need the folder of a revision
}

// New makes a builder and its folder.
func New(o Options) (*Builder, error) {
	o.Limits.fill()
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of revisions: %w", err)
	}
	return &Builder{Options: o, held: map[string]int{}}, nil
}

// A FailedError says why a build has failed, in words for the owner of the service.
type FailedError struct {
	Summary  string
	Messages []string
}

func (e *FailedError) Error() string { return e.Summary }

// without takes the folder of the server out of all texts.
func (e *FailedError) without(dir string) *FailedError {
	clean := strings.NewReplacer(dir+"/", "", dir, ".")
	shown := &FailedError{Summary: clean.Replace(e.Summary)}
	for _, message := range e.Messages {
		shown.Messages = append(shown.Messages, clean.Replace(message))
	}
	return shown
}

func failure(summary string, messages ...string) error { return &FailedError{summary, messages} }

// A Reporter follows a build.
type Reporter interface {
	// Step tells which step begins.
	Step(s registry.Step)
	// Say adds a line to the log.
	Say(severity, line string)
}

const completeFile = "complete"

// Root is the folder of the files of a revision.
func (b *Builder) Root(revision string) string { return b.workDir(revision) }

func (b *Builder) workDir(revision string) string { return filepath.Join(b.Dir, revision, "work") }

// Build makes a revision. An error of type [*FailedError] is the archive's fault.
func (b *Builder) Build(ctx context.Context, r registry.Revision, report Reporter) (*registry.Manifest, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, b.Limits.Time, failure(fmt.Sprintf("the build took longer than %s", b.Limits.Time)))
	defer cancel()
	manifest, err := b.build(ctx, r, report)
	if err != nil {
		if late, ok := errors.AsType[*FailedError](context.Cause(ctx)); ok {
			err = late
		}
		if failed, ok := errors.AsType[*FailedError](err); ok {
			err = failed.without(b.workDir(r.ID))
		}
		return nil, errors.Join(err, b.Remove(r.ID))
	}
	return manifest, nil
}

func (b *Builder) build(ctx context.Context, r registry.Revision, report Reporter) (*registry.Manifest, error) {
	report.Step(registry.Unpacking)
	if err := b.unpack(ctx, r, report); err != nil {
		return nil, err
	}
	report.Step(registry.Preparing)
	if err := b.prepare(ctx, r, report); err != nil {
		return nil, err
	}
	opened, err := b.open(r)
	if err != nil {
		return nil, asFailure(err)
	}
	report.Say("INFO", "Describing the service")
	log := newLineWriter(func(line string) { report.Say("INFO", line) })
	described, err := opened.Signature(ctx, log, b.confinement(opened, r))
	log.flush()
	if err != nil {
		return nil, asFailure(err)
	}
	if _, err := described.Compile(); err != nil {
		return nil, failure("the signature of the service cannot be used", err.Error())
	}
	document, err := json.Marshal(described)
	if err != nil {
		return nil, err
	}
	w := opened.Workspace
	if err := b.settleWorkspace(ctx, w); err != nil { // the description is in a file, too
		return nil, asFailure(err)
	}
	if err := os.WriteFile(filepath.Join(b.Dir, r.ID, completeFile), nil, 0o600); err != nil {
		return nil, err
	}
	return &registry.Manifest{
		Name: w.Name, Version: w.Version, Description: cmp.Or(described.Description, w.Description), Language: string(w.Language),
		Entrypoint: w.Entrypoint, Network: w.Network, Limits: limits.Stricter(w.Limits, r.Settings.Limits()), Signature: document,
	}, nil
}

// unpack makes the folder of a revision from its archive.
func (b *Builder) unpack(ctx context.Context, r registry.Revision, report Reporter) error {
	if err := b.Remove(r.ID); err != nil { // of a build that was interrupted
		return err
	}
	object, err := b.Blobs.Open(ctx, r.Source)
	if err != nil {
		return err
	}
	defer func() { _ = object.Close() }()
	a, err := archive.Open(object, object.Info().Size, b.Limits.Archive)
	if err != nil {
		return asFailure(err)
	}
	dir := b.workDir(r.ID)
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // the folder of all revisions is private
		return err
	}
	if err := a.Unpack(dir); err != nil {
		return asFailure(err)
	}
	report.Say("INFO", fmt.Sprintf("Unpacked %d files", len(a.Names())))
	if len(a.LeftOut) > 0 {
		report.Say("WARNING", "Left out, because no service has it: "+strings.Join(a.LeftOut, ", "))
	}
	return checkSettings(dir)
}

// asFailure recognises errors that are the archive's fault.
func asFailure(err error) error {
	if refused, ok := errors.AsType[*archive.Error](err); ok {
		return failure(refused.Error())
	}
	var explained interface {
		Hint() string
		error
	}
	if !errors.As(err, &explained) {
		return err
	}
	var messages []string
	var detailed interface{ Details() string }
	if errors.As(err, &detailed) && detailed.Details() != "" {
		messages = append(messages, detailed.Details())
	}
	if hint := explained.Hint(); hint != "" {
		messages = append(messages, hint)
	}
	return failure(err.Error(), messages...)
}

// maxSettings bounds the files that the server itself reads.
const maxSettings = 1 << 20

func checkSettings(dir string) error {
	for _, name := range []string{"pyproject.toml", "qhubctl.toml", ".python-version"} {
		info, err := os.Lstat(filepath.Join(dir, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case !info.Mode().IsRegular() || info.Size() > maxSettings:
			return failure(fmt.Sprintf("%s is no file, or is larger than %d MiB", name, maxSettings>>20))
		}
	}
	return nil
}

// binaryName is the file of a service that is a program.
const binaryName = "service"

// workspaceOf opens the workspace of a revision: a program, or a Python service.
func (b *Builder) workspaceOf(r registry.Revision) (*workspace.Workspace, error) {
	dir := b.workDir(r.ID)
	if isProgram(filepath.Join(dir, binaryName)) {
		return workspace.OpenProgram(dir, binaryName)
	}
	w, err := workspace.Open(dir)
	if err != nil {
		return nil, asFailure(err)
	}
	if w.Language != workspace.Python {
		return nil, failure("services in Go are deployed as programs",
			"`qhubctl up` builds the program on your machine; other clients send an archive with a static Linux program named "+binaryName)
	}
	return w, nil
}

// isProgram reports whether a file is a Linux program.
func isProgram(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = file.Close() }()
	magic := make([]byte, 4)
	_, err = io.ReadFull(file, magic)
	return err == nil && string(magic) == "\x7fELF"
}

// open is the service of a revision that was prepared. It starts nothing.
func (b *Builder) open(r registry.Revision) (*build.Service, error) {
	w, err := b.workspaceOf(r)
	if err != nil {
		return nil, err
	}
	env := &workspace.Environment{Binary: filepath.Join(w.Dir, binaryName)}
	if w.Language == workspace.Python {
		venv := filepath.Join(w.Dir, ".venv")
		env = &workspace.Environment{Dir: venv, Python: filepath.Join(venv, "bin", "python"), Managed: true}
	}
	opened, err := build.New(w, env, &secretref.Files{})
	if err != nil {
		return nil, err
	}
	opened.Hosted = map[string]string{}
	for name, value := range r.Settings.Environment {
		if !environ.IsSecret(name) { // executions get those with their other secrets
			opened.Hosted[name] = value
		}
	}
	return opened, nil
}

// networks are those of a sandbox by the names that people give them.
var networks = map[string]sandbox.Network{
	"": sandbox.NetworkFull, "full": sandbox.NetworkFull, "loopback": sandbox.NetworkLoopback, "none": sandbox.NetworkNone,
}

// confinement is what the processes of a revision run in.
func (b *Builder) confinement(opened *build.Service, r registry.Revision) build.Confinement {
	if !b.Machine.Confines() {
		return build.Confinement{}
	}
	w, l := opened.Workspace, b.LimitsOf(limits.Stricter(opened.Workspace.Limits, r.Settings.Limits()))
	policy := sandbox.Policy{Network: networks[w.Network], Limits: sandbox.DefaultLimits(), Hidden: b.Hidden}
	policy.Limits.CPU, policy.Limits.CPUTime, policy.Limits.Temp = l.CPU, l.CPUTime, l.Temp
	if b.Machine.HasOwnRoot() && b.Machine.HasDrafts() {
		policy.Shown = []sandbox.Shown{{At: w.Dir, From: w.Dir, Drafts: true}}
	}
	return build.Confinement{
		Sandbox: &process.Sandbox{Machine: b.Machine, Policy: policy},
		Limits:  runner.Limits{Memory: l.Memory, Processes: l.Processes, CPU: l.CPU, OpenFiles: l.OpenFiles, Temp: l.Temp},
	}
}

const (
	// grace is how long an execution may take to end when it is asked to.
	grace = 10 * time.Second
	// defaultOutput is how much an execution may leave as its result.
	defaultOutput = 1 << 30
)

// LimitsOf are limits with defaults for those that are not set.
func (b *Builder) LimitsOf(l limits.Limits) limits.Limits {
	all := sandbox.DefaultLimits()
	l.Grace, l.Output = grace, cmp.Or(l.Output, defaultOutput)
	if b.Machine.Confines() {
		l.Memory, l.Processes, l.Temp = cmp.Or(l.Memory, all.Memory), cmp.Or(l.Processes, all.Processes), cmp.Or(l.Temp, all.Temp)
	}
	return l
}

// Remove deletes the folder of a revision, if there is one.
func (b *Builder) Remove(revision string) error {
	return runner.RemoveAll(filepath.Join(b.Dir, revision))
}

// RemoveIdle deletes the folder of a revision that no runner needs, and reports whether
// it did. [Builder.Load] makes it again.
func (b *Builder) RemoveIdle(revision string) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held[revision] > 0 {
		return false, nil
	}
	return true, b.Remove(revision)
}

// hold keeps the folder of a revision until release is called.
func (b *Builder) hold(revision string) (release func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held[revision]++
	return sync.OnceFunc(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.held[revision]--; b.held[revision] == 0 {
			delete(b.held, revision)
		}
	})
}

// Ready reports whether the folder of a revision is complete.
func (b *Builder) Ready(revision string) bool {
	_, err := os.Stat(filepath.Join(b.Dir, revision, completeFile))
	return err == nil
}

// Folders are the ids of the revisions that have a folder.
func (b *Builder) Folders() ([]string, error) {
	entries, err := os.ReadDir(b.Dir)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(entries))
	for i, entry := range entries {
		ids[i] = entry.Name()
	}
	return ids, nil
}
