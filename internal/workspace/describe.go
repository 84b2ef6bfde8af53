package workspace

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/qhubctl/qhubctl/internal/signature"
)

// maxSources bounds how many files are read to find out whether a service has
// changed; a larger workspace is described again each time.
const maxSources = 20_000

// described is the cached description of a service.
type described struct {
	Key      string          `json:"key"`
	Document json.RawMessage `json:"document"`
}

// SourceKey is a hash of everything that a description depends on: the program
// that was built here, or the entrypoint, the files of the workspace, and the
// packages of the environment. It is empty if the workspace is too large. It is
// also empty for programs that were built elsewhere: they describe themselves at
// once, and qhubctl caches nothing in their user's folder.
func (w *Workspace) SourceKey(env *Environment) string {
	h := sha256.New()
	if w.Language == Prebuilt {
		return ""
	}
	if env.Binary != "" {
		_, _ = fmt.Fprintf(h, "1 %q %s %s\n", env.Binary, stamped(env.Binary), stamped(w.EnvFile()))
		return hex.EncodeToString(h.Sum(nil))
	}
	_, _ = fmt.Fprintf(h, "1 %s %s %s\n", w.Dir, w.Entrypoint, env.Python)
	if err := w.hashSources(h, false); err != nil {
		return ""
	}
	if err := w.hashLinked(h, env); err != nil {
		return ""
	}
	hashPackages(h, env)
	return hex.EncodeToString(h.Sum(nil))
}

// WatchKey is a hash of the files whose change reloads a served service: its code,
// its settings, and the files that the workspace names under watch. Logs, results
// and other data are not part of it. It is empty if the workspace is too large.
func (w *Workspace) WatchKey(env *Environment) string {
	if env.Binary != "" {
		if w.Language == Prebuilt {
			return ""
		}
		return w.SourceKey(env)
	}
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "1 %s %s %s\n", w.Dir, w.Entrypoint, env.Python)
	for _, path := range w.settingFiles() {
		sum, _ := hashFile(path) // empty if there is none
		_, _ = fmt.Fprintf(h, "%q %s\n", path, sum)
	}
	if w.hashSources(h, true) != nil || w.hashLinked(h, env) != nil {
		return ""
	}
	hashPackages(h, env)
	return hex.EncodeToString(h.Sum(nil))
}

// settingFiles are the files that say how the service is run and what its
// environment is made from.
func (w *Workspace) settingFiles() []string {
	files := append([]string{w.path("pyproject.toml"), w.path(limitsFile), w.EnvFile()}, w.Settings...)
	if p, err := w.plan(); err == nil {
		files = append(files, p.inputs...)
	}
	slices.Sort(files)
	return slices.Compact(files)
}

// A Start describes how executions of a service start when it is served.
type Start struct {
	// Warm: as forks of a process that has imported it.
	Warm bool `json:"warm"`
	// Reason says why not.
	Reason string `json:"reason,omitempty"`
	// Import is how long importing the service takes.
	Import time.Duration `json:"import,omitempty"`
}

type cachedStart struct {
	Key   string `json:"key"`
	Start Start  `json:"start"`
}

// CachedStart returns how the current state of the service starts, if that was
// found out before.
func (w *Workspace) CachedStart(key string) (s Start, ok bool) {
	text, err := os.ReadFile(w.path(stateDir, "start.json"))
	var cached cachedStart
	if err != nil || key == "" || json.Unmarshal(text, &cached) != nil || cached.Key != key {
		return Start{}, false
	}
	return cached.Start, true
}

// CacheStart keeps how a service starts.
func (w *Workspace) CacheStart(key string, s Start) {
	if key != "" {
		w.cache("start.json", cachedStart{key, s})
	}
}

// Changed reports whether the service may differ from the one that had
// this [Workspace.WatchKey], in its sources or its variables.
func (w *Workspace) Changed(env *Environment, key string) bool {
	if w.Language == Go && !w.built(env) {
		return true
	}
	again := &Workspace{Dir: w.Dir, Language: w.Language}
	if w.Language != Prebuilt && (again.readProject() != nil || again.confinedOtherwise(w)) {
		return true
	}
	now := w.WatchKey(env)
	return now == "" || now != key
}

// CachedSignature returns the signature of the current state of the service, if
// it has been described before; otherwise ok is false.
func (w *Workspace) CachedSignature(key string) (s *signature.Signature, ok bool) {
	text, err := os.ReadFile(w.path(stateDir, "signature.json"))
	var cached described
	if err != nil || key == "" || json.Unmarshal(text, &cached) != nil || cached.Key != key {
		return nil, false
	}
	s, err = signature.Parse(cached.Document)
	return s, err == nil
}

// CacheSignature keeps the description of a service. A folder that cannot be
// written makes the next start slower, and is no error.
func (w *Workspace) CacheSignature(key string, document []byte) {
	if key == "" {
		return
	}
	w.cache("signature.json", described{key, document})
}

// cache writes a value that can be computed again.
func (w *Workspace) cache(name string, value any) {
	path, err := w.state(name)
	if err != nil {
		return
	}
	text, err := json.Marshal(value)
	if err != nil {
		return
	}
	// Another process may read it at the same time.
	temporary := fmt.Sprintf("%s.%d", path, os.Getpid())
	if os.WriteFile(temporary, text, 0o600) != nil || os.Rename(temporary, path) != nil {
		_ = os.Remove(temporary)
	}
}

// hashSources hashes the text of Python files, and size and time of all others,
// which a module may read while it is imported. With watched, of the others only
// those that the workspace names under watch count. It leaves out data, and the
// caches of tools.
func (w *Workspace) hashSources(h hash.Hash, watched bool) error {
	return w.walkSources(w.Dir, func(path string, entry fs.DirEntry) error {
		if watched && filepath.Ext(path) != ".py" && !w.watches(path) {
			return nil
		}
		return w.hashSource(h, path, entry)
	})
}

// walkSources visits the files of a folder that may be a part of the service.
func (w *Workspace) walkSources(dir string, visit func(path string, entry fs.DirEntry) error) error {
	files := 0
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if path != dir && w.skipped(path, entry.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if files++; files > maxSources {
			return fs.ErrInvalid
		}
		return visit(path, entry)
	})
}

// watches reports whether the workspace names a file that is no code under watch.
func (w *Workspace) watches(path string) bool {
	relative, ok := Inside(w.Dir, path)
	for ; ok && relative != "."; relative = filepath.Dir(relative) {
		if slices.ContainsFunc(w.project.Tool.Qhubctl.Watch, func(pattern string) bool {
			matched, err := filepath.Match(filepath.Clean(filepath.FromSlash(pattern)), relative)
			return err == nil && matched
		}) {
			return true
		}
	}
	return false
}

func (w *Workspace) hashSource(h hash.Hash, path string, entry fs.DirEntry) error {
	relative, err := filepath.Rel(w.Dir, path)
	if err != nil {
		return err
	}
	if filepath.Ext(path) == ".py" {
		sum, err := hashFile(path)
		if entry.Type()&fs.ModeSymlink != 0 {
			err = nil // a link that leads nowhere, or to a folder
		}
		_, _ = fmt.Fprintf(h, "%q %s\n", relative, sum)
		return err
	}
	info, err := entry.Info()
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(h, "%q %d %d\n", relative, info.Size(), info.ModTime().UnixNano())
	return nil
}

func (w *Workspace) skipped(path, name string) bool {
	if strings.HasPrefix(name, ".") || name == "__pycache__" || name == "node_modules" || exists(filepath.Join(path, "pyvenv.cfg")) {
		return true
	}
	if filepath.Dir(path) != w.Dir {
		return false
	}
	switch name {
	case "input", "datapool", "out", "output", "vendor":
		return true
	}
	return false
}

// hashPackages hashes the names of the installed packages: a dist-info folder
// carries name and version.
func hashPackages(h hash.Hash, env *Environment) {
	if env.Dir == "" {
		info, err := os.Stat(env.Python)
		if err == nil {
			_, _ = fmt.Fprintf(h, "%d %d\n", info.Size(), info.ModTime().UnixNano())
		}
		return
	}
	for _, dir := range sitePackages(env.Dir) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, entry := range entries {
			_, _ = fmt.Fprintf(h, "%q\n", entry.Name())
		}
	}
}
