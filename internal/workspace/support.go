package workspace

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/qhubctl/qhubctl/internal/runner/forkserver"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/sdk"
)

// python describes how to run a service in Python. It writes the files that this
// needs into the user's cache.
func (w *Workspace) python(env *Environment) (process.Python, error) {
	files, err := supportFiles()
	if err != nil {
		return process.Python{}, err
	}
	dir, err := w.supportDir(files)
	if err != nil {
		return process.Python{}, err
	}
	for _, f := range files {
		if err := place(filepath.Join(dir, f.name), f.content); err != nil {
			return process.Python{}, err
		}
	}
	return process.Python{
		Interpreter: env.Python,
		Launcher:    filepath.Join(dir, "launcher.py"),
		Describer:   filepath.Join(dir, "describe.py"),
		Entrypoint:  w.Entrypoint,
	}, nil
}

type supportFile struct {
	name    string
	content []byte
}

// supportFiles are the programs that start Python services.
func supportFiles() ([]supportFile, error) {
	describer, err := sdk.Describer()
	if err != nil {
		return nil, err
	}
	files := []supportFile{{"launcher.py", process.LauncherSource}, {"describe.py", describer}}
	err = fs.WalkDir(forkserver.Files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := forkserver.Files.ReadFile(path)
		files = append(files, supportFile{entry.Name(), content})
		return err
	})
	return files, err
}

// supportDir is a folder whose name changes with its files, so that programs of
// different versions do not overwrite each other's. It is in the user's cache, or
// in the workspace if there is none. It is never in a place where another user
// could put something first.
func (w *Workspace) supportDir(files []supportFile) (string, error) {
	h := sha256.New()
	for _, f := range files {
		_, _ = fmt.Fprintf(h, "%s %d\n%s", f.name, len(f.content), f.content)
	}
	name := "python-" + hex.EncodeToString(h.Sum(nil)[:8])
	cache, err := os.UserCacheDir()
	dir := filepath.Join(cache, "qhubctl", name)
	if err != nil {
		if dir, err = w.state(name); err != nil {
			return "", err
		}
	}
	// The folder around it is for this user alone. Executions, which may be other
	// users, have it mounted.
	err = os.MkdirAll(filepath.Dir(dir), 0o700)
	if err == nil {
		err = errors.Join(os.MkdirAll(dir, 0o755), os.Chmod(dir, 0o755)) //nolint:gosec // executions have it mounted
	}
	if err != nil {
		return "", &Error{Message: "cannot keep files in the cache folder", Advice: "set XDG_CACHE_HOME to a folder that can be written", Err: err}
	}
	return dir, nil
}

// place writes a file unless it has this content already.
func place(path string, content []byte) error {
	if there, err := os.ReadFile(path); err == nil && bytes.Equal(there, content) {
		return os.Chmod(path, 0o644) //nolint:gosec // the text of this program
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), "place-")
	if err == nil {
		_, err = temporary.Write(content)
		if err == nil {
			err = temporary.Chmod(0o644)
		}
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
