package workspace

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// An Environment runs a service: a Python with the packages of the service, or a
// built program.
type Environment struct {
	// Python is the interpreter; empty if the service is a program.
	Python string
	// Dir is the virtual environment; empty if Python is not in one.
	Dir string
	// Binary is the program, if the service is one.
	Binary string
	// Managed: qhubctl has made it and keeps it up to date.
	Managed bool
	// Origin names the tool that made it, the source files, and the Python; empty
	// if that is not known.
	Origin string
}

// Progress shows that something takes its time. Step is called when a step
// begins; the function it returns when the step has ended.
type Progress interface {
	Step(what string) (done func(error))
}

// stamp lies beside the environment and records the sources that made it.
type stamp struct {
	// Key is a hash of everything that the environment is made from; empty while
	// it is being made.
	Key string `json:"key"`
	// Config is a hash of the environment's pyvenv.cfg. It shows that another
	// tool has put a different environment in its place.
	Config string `json:"config"`
	// Origin is that of the environment.
	Origin string `json:"origin,omitempty"`
}

// Prepare makes sure that the workspace has an environment. It uses an
// environment of the user unchanged. Otherwise it makes one, and makes it again
// when its sources change: pyproject.toml, requirements.txt or the lock file, or
// the sources of a service in Go. To check an environment that is up to date, it
// reads some small files and starts no process.
func (w *Workspace) Prepare(ctx context.Context, progress Progress) (*Environment, error) {
	switch w.Language {
	case Prebuilt:
		return &Environment{Binary: w.binary}, nil
	case Go:
		return w.prepareGo(ctx, progress)
	default:
		return w.preparePython(ctx, progress)
	}
}

func (w *Workspace) preparePython(ctx context.Context, progress Progress) (*Environment, error) {
	env := w.environment()
	if w.isForeign(env) {
		env.Origin = foreignOrigin(env)
		return env, checkPython(env.Python)
	}
	env.Managed = true
	p, err := w.plan()
	if err != nil {
		return nil, err
	}
	key, err := w.environmentKey(p)
	if err != nil {
		return nil, err
	}
	if w.upToDate(env, key) {
		return env, nil
	}
	lock, err := w.state("lock")
	if err != nil {
		return nil, err
	}
	unlock, err := lockWorkspace(ctx, lock, progress)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if w.upToDate(env, key) { // another process has just made it
		return env, nil
	}
	return env, w.makeEnvironment(ctx, env, p, key, progress)
}

// lockWorkspace waits for the lock, which may take as long as an installer of
// another process, or until ctx ends.
func lockWorkspace(ctx context.Context, path string, progress Progress) (unlock func(), err error) {
	type locked struct {
		unlock func()
		err    error
	}
	locks := make(chan locked, 1)
	go func() {
		unlock, err := lockedfile.MutexAt(path).Lock()
		locks <- locked{unlock, err}
	}()
	slow := time.NewTimer(noticeable)
	defer slow.Stop()
	done := func(error) {}
	defer func() { done(err) }()
	for {
		select {
		case <-slow.C:
			done = progress.Step("Waiting for another qhubctl that prepares this workspace")
		case t := <-locks:
			if t.err != nil {
				return nil, &Error{Message: "cannot lock the workspace", Err: t.err}
			}
			return t.unlock, nil
		case <-ctx.Done():
			go func() { // a lock that comes too late is released
				if t := <-locks; t.err == nil {
					t.unlock()
				}
			}()
			return nil, ctx.Err()
		}
	}
}

// noticeable is the wait after which qhubctl says what it waits for.
const noticeable = 200 * time.Millisecond

// A State says whether an environment can be used.
type State int

const (
	// Stale environments are missing, or qhubctl made them and they are out of date.
	Stale State = iota
	// Ready environments were made by qhubctl and are up to date.
	Ready
	// UserManaged environments were made by the user; qhubctl never changes them.
	UserManaged
	// Broken environments were made by the user and have no interpreter.
	Broken
)

// EnvironmentState looks at the environment without changing anything.
func (w *Workspace) EnvironmentState() (State, *Environment) {
	switch w.Language {
	case Python:
	case Prebuilt:
		return UserManaged, &Environment{Binary: w.binary}
	case Go:
		env := w.goEnvironment()
		if !w.built(env) {
			return Stale, env
		}
		return Ready, env
	}
	env := w.environment()
	if w.isForeign(env) {
		if checkPython(env.Python) != nil {
			return Broken, env
		}
		env.Origin = foreignOrigin(env)
		return UserManaged, env
	}
	env.Managed = true
	p, err := w.plan()
	if err != nil {
		return Stale, env
	}
	if key, err := w.environmentKey(p); err != nil || !w.upToDate(env, key) {
		return Stale, env
	}
	return Ready, env
}

// CheckPlan reports why no environment can be made for the workspace, as far as
// its files show. It starts no process.
func (w *Workspace) CheckPlan() error {
	if w.Language != Python {
		return nil
	}
	p, err := w.plan()
	if err != nil {
		return err
	}
	if _, err := exec.LookPath("uv"); err != nil {
		return p.checkUV()
	}
	return nil
}

func (w *Workspace) environment() *Environment {
	return &Environment{Dir: w.path(".venv"), Python: w.path(".venv", venvPython())}
}

func checkPython(python string) error {
	if !isFile(python) {
		return &Error{
			Message: "there is no Python at " + python,
			Advice:  "make the environment again (`uv venv && uv sync`), or delete the folder .venv and let qhubctl make one",
		}
	}
	return nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

func venvPython() string {
	if runtime.GOOS == "windows" {
		return filepath.Join("Scripts", "python.exe")
	}
	return filepath.Join("bin", "python")
}

// foreignOrigin is the origin that the environment itself records.
func foreignOrigin(env *Environment) string {
	if version := environmentPython(env.Dir); version != "" {
		return "Python " + version
	}
	return ""
}

// environmentPython is the version of an environment's Python, from its
// pyvenv.cfg; empty if that has none.
func environmentPython(dir string) string {
	text, err := os.ReadFile(filepath.Join(dir, "pyvenv.cfg"))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, "=")
		if name = strings.TrimSpace(name); name == "version" || name == "version_info" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// isForeign reports whether .venv exists and qhubctl did not make it, as far as
// our stamp shows. Other tools make environments without a pyvenv.cfg, and
// qhubctl never removes theirs.
func (w *Workspace) isForeign(env *Environment) bool {
	if !exists(env.Dir) {
		return false
	}
	made, err := w.readStamp()
	if err == nil && made.Key == "" {
		return false // qhubctl was interrupted while it made this one
	}
	config, _ := hashFile(filepath.Join(env.Dir, "pyvenv.cfg")) // a missing one has no hash
	return err != nil || made.Config != config
}

func (w *Workspace) upToDate(env *Environment, key string) bool {
	made, err := w.readStamp()
	if err != nil || made.Key != key {
		return false
	}
	env.Origin = made.Origin
	config, err := hashFile(filepath.Join(env.Dir, "pyvenv.cfg"))
	return err == nil && config == made.Config && checkPython(env.Python) == nil
}

func (w *Workspace) readStamp() (stamp, error) {
	var s stamp
	text, err := os.ReadFile(w.path(stateDir, "environment.json"))
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	return s, err
}

func (w *Workspace) writeStamp(s stamp) error {
	path, err := w.state("environment.json")
	if err != nil {
		return err
	}
	text, err := json.Marshal(s)
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		return &Error{Message: "cannot note the state of the environment", Err: err}
	}
	return nil
}

// hashFile returns the SHA-256 hash of a file. It fails for pipes and devices, which may
// have no end.
func hashFile(path string) (string, error) {
	if info, err := os.Stat(path); err != nil {
		return "", err
	} else if !info.Mode().IsRegular() {
		return "", fmt.Errorf("hash %s: %w", path, fs.ErrInvalid)
	}
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
