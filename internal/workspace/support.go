package workspace

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"

	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/sdk"
)

// python says how a service in Python is run. It places the files that this
// needs into the user's cache.
func (w *Workspace) python(env *Environment) (process.Python, error) {
	describer, err := sdk.Describer()
	if err != nil {
		return process.Python{}, err
	}
	dir, err := supportDir(process.LauncherSource, describer)
	if err != nil {
		return process.Python{}, err
	}
	p := process.Python{
		Interpreter: env.Python,
		Launcher:    filepath.Join(dir, "launcher.py"),
		Describer:   filepath.Join(dir, "describe.py"),
		Entrypoint:  w.Entrypoint,
	}
	if err := place(p.Launcher, process.LauncherSource); err != nil {
		return process.Python{}, err
	}
	return p, place(p.Describer, describer)
}

// supportDir is a folder whose name changes with the texts, so that programs
// of different versions do not get in each other's way.
func supportDir(texts ...[]byte) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	sum := sha256.Sum256(bytes.Join(texts, []byte{0}))
	dir := filepath.Join(cache, "qhubctl", "python-"+hex.EncodeToString(sum[:8]))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", &Error{Message: "cannot keep files in the cache folder", Advice: "set XDG_CACHE_HOME to a folder that can be written", Err: err}
	}
	return dir, nil
}

// place writes a file unless it is there with this content.
func place(path string, content []byte) error {
	if there, err := os.ReadFile(path); err == nil && bytes.Equal(there, content) {
		return nil
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), "place-")
	if err == nil {
		_, err = temporary.Write(content)
		if closed := temporary.Close(); err == nil {
			err = closed
		}
		if err == nil {
			err = os.Rename(temporary.Name(), path)
		}
		if err != nil {
			_ = os.Remove(temporary.Name())
		}
	}
	if err != nil {
		return &Error{Message: "cannot write " + path, Err: err}
	}
	return nil
}
