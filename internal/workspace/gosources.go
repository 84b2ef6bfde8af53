package workspace

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"os/exec"
	slashpath "path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/qhubctl/qhubctl/sdk"
)

// goSources are the places of the sources of a service in Go: the folders of its
// packages, and those of modules that are replaced by a folder. Packages of other
// modules never change: go.sum pins them.
type goSources struct {
	Dirs []goDir `json:"folders"`
	// Files decide which modules are used. They may be missing.
	Files []string `json:"files"`
}

type goDir struct {
	Path string `json:"path"`
	// Embeds are the patterns of files of any kind that are a part of the program.
	Embeds []string `json:"embedded,omitempty"`
}

// goBuild is the record of the last build.
type goBuild struct {
	// Key is a hash of everything that the program was built from.
	Key     string    `json:"key"`
	Sources goSources `json:"sources"`
	// Program is size and time of the built program.
	Program string `json:"program"`
}

// goPackage holds the parts of the answer of go list that we use.
type goPackage struct {
	ImportPath    string
	Dir           string
	Standard      bool
	EmbedPatterns []string
	Module        *goModule
}

type goModule struct {
	Version string
	GoMod   string
	Main    bool
	Replace *goModule
}

// local returns the module if its files may change.
func (m *goModule) local() bool {
	return m == nil || m.Main || m.Replace != nil && m.Replace.Version == ""
}

// listSources asks the go command for the packages of the service, and makes sure
// that the SDK is one of them: without it, a program does not follow our
// contract.
func (w *Workspace) listSources(ctx context.Context, gotool string) (goSources, error) {
	var s goSources
	list, err := w.gotool(ctx, gotool, "list", "-deps", "-json=ImportPath,Dir,Standard,EmbedPatterns,Module", ".")
	if err != nil {
		return s, err
	}
	isService := false
	files := map[string]bool{}
	for decoder := json.NewDecoder(bytes.NewReader(list)); ; {
		var p goPackage
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return s, &Error{Message: "cannot read what go list says", Err: err}
		}
		isService = isService || p.ImportPath == sdk.GoServicePackage
		if p.Standard || !p.Module.local() {
			continue
		}
		s.Dirs = append(s.Dirs, goDir{p.Dir, p.EmbedPatterns})
		if p.Module != nil && p.Module.GoMod != "" {
			files[p.Module.GoMod] = true
		}
	}
	if !isService {
		return s, &Error{
			Message: w.Dir + " holds a program, but no service: it does not use " + sdk.GoServicePackage,
			Advice:  "call service.Main(run) in main; `qhubctl init --lang go` makes a service to start from",
		}
	}
	module := moduleDir(w.Dir)
	for _, name := range []string{"go.mod", "go.sum", filepath.Join("vendor", "modules.txt")} {
		files[filepath.Join(module, name)] = true
	}
	if dir := dirAbove(w.Dir, "go.work"); dir != "" {
		files[filepath.Join(dir, "go.work")], files[filepath.Join(dir, "go.work.sum")] = true, true
	}
	for file := range files {
		s.Files = append(s.Files, file)
	}
	slices.Sort(s.Files)
	return s, nil
}

// built reports whether the program equals the one that go build would make now.
// It reads the sources and starts no process. If there is no go command, a
// program that was built earlier from these sources counts.
func (w *Workspace) built(env *Environment) bool {
	manifest := w.lastBuild()
	if manifest.Key == "" || manifest.Program != stamped(env.Binary) {
		return false
	}
	gotool, err := exec.LookPath("go")
	if err != nil {
		gotool = ""
	}
	key, err := manifest.Sources.key(gotool)
	if err != nil {
		return false
	}
	if gotool == "" {
		sources, _, _ := strings.Cut(manifest.Key, " ")
		return key == sources
	}
	return key == manifest.Key
}

// lastBuild returns the record of the last build; empty if none can be read.
func (w *Workspace) lastBuild() goBuild {
	var manifest goBuild
	text, err := os.ReadFile(w.path(stateDir, "build.json"))
	if err != nil || json.Unmarshal(text, &manifest) != nil {
		return goBuild{}
	}
	return manifest
}

// sourceDirs are the folders that the program was last built from.
func (w *Workspace) sourceDirs() []string {
	dirs := w.lastBuild().Sources.Dirs
	paths := make([]string, len(dirs))
	for i, dir := range dirs {
		paths[i] = dir.Path
	}
	return paths
}

func (w *Workspace) noteBuild(sources goSources, key string, env *Environment) error {
	path, err := w.state("build.json")
	if err != nil {
		return err
	}
	text, err := json.Marshal(goBuild{Key: key, Sources: sources, Program: stamped(env.Binary)})
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		return &Error{Message: "cannot note what the service was built from", Err: err}
	}
	return nil
}

// goVariables change the output of go build.
var goVariables = []string{
	"GOFLAGS", "GOAMD64", "GOARM64", "GOEXPERIMENT", "GOTOOLCHAIN", "GOWORK", "GOENV",
	"CGO_ENABLED", "CGO_CFLAGS", "CGO_CPPFLAGS", "CGO_CXXFLAGS", "CGO_LDFLAGS", "CC", "CXX", "PKG_CONFIG_PATH",
}

// key is a hash of the sources and, after a space, one of the toolchain; the
// latter is missing if gotool is empty. A new go.work above counts too.
func (s goSources) key(gotool string) (string, error) {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "1\n")
	for _, dir := range s.Dirs {
		if err := dir.hash(h); err != nil {
			return "", &Error{Message: "cannot read the sources", Err: err}
		}
	}
	for _, file := range s.Files {
		sum, err := hashFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", &Error{Message: "cannot read " + file, Err: err}
		}
		_, _ = fmt.Fprintf(h, "%q %s\n", file, sum)
	}
	if len(s.Dirs) > 0 {
		_, _ = fmt.Fprintf(h, "%q\n", dirAbove(s.Dirs[len(s.Dirs)-1].Path, "go.work"))
	}
	sources := hex.EncodeToString(h.Sum(nil))
	if gotool == "" {
		return sources, nil
	}
	h.Reset()
	hashToolchain(h, gotool)
	return sources + " " + hex.EncodeToString(h.Sum(nil)), nil
}

// hashToolchain hashes the go command itself instead of its version: running it
// would take longer than all the rest.
func hashToolchain(h hash.Hash, gotool string) {
	if target, err := filepath.EvalSymlinks(gotool); err == nil {
		gotool = target
	}
	root := filepath.Dir(filepath.Dir(gotool))
	version, _ := hashFile(filepath.Join(root, "VERSION")) // missing in some distributions
	_, _ = fmt.Fprintf(h, "%q %s %s\n", gotool, stamped(gotool), version)
	if config, err := os.UserConfigDir(); err == nil { // the settings of `go env -w`
		settings, _ := hashFile(filepath.Join(config, "go", "env"))
		_, _ = fmt.Fprintf(h, "%s\n", settings)
	}
	for _, name := range goVariables {
		_, _ = fmt.Fprintf(h, "%s=%q\n", name, os.Getenv(name))
	}
}

// hash hashes the text of the files that a compiler reads, and size and time of
// the files that are embedded.
func (f goDir) hash(h hash.Hash) error {
	_, _ = fmt.Fprintf(h, "%q %q\n", f.Path, f.Embeds)
	entries, err := os.ReadDir(f.Path)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !entry.IsDir() && isSource(entry.Name()) {
			sum, err := hashFile(filepath.Join(f.Path, entry.Name()))
			if err != nil {
				return err
			}
			_, _ = fmt.Fprintf(h, "%q %s\n", entry.Name(), sum)
		}
	}
	if len(f.Embeds) == 0 {
		return nil
	}
	files := 0
	return filepath.WalkDir(f.Path, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == stateDir:
			return fs.SkipDir
		case !entry.IsDir() && f.embeds(path):
			_, _ = fmt.Fprintf(h, "%q %s\n", path, stamped(path))
		}
		if files++; files > maxSources {
			return fs.ErrInvalid
		}
		return nil
	})
}

// embeds reports whether a pattern names a file, or a folder around it.
func (f goDir) embeds(file string) bool {
	relative, ok := Inside(f.Path, file)
	for ; ok && relative != "."; relative = filepath.Dir(relative) {
		if slices.ContainsFunc(f.Embeds, func(pattern string) bool {
			pattern = slashpath.Clean(strings.TrimPrefix(pattern, "all:"))
			matched, err := slashpath.Match(pattern, filepath.ToSlash(relative))
			return err == nil && matched || pattern == "."
		}) {
			return true
		}
	}
	return false
}

// isSource reports whether go build reads files of this kind; tests do not count.
func isSource(name string) bool {
	switch filepath.Ext(name) {
	case ".go":
		return !strings.HasSuffix(name, "_test.go")
	case ".s", ".S", ".sx", ".c", ".cc", ".cpp", ".cxx", ".m", ".h", ".hh", ".hpp", ".hxx", ".f", ".F", ".for", ".f90", ".swig", ".swigcxx", ".syso":
		return true
	default:
		return false
	}
}

// stamped identifies the state of a file by size and time; empty if it does not
// exist.
func stamped(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%d %d", info.Size(), info.ModTime().UnixNano())
}
