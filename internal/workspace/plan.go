package workspace

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/qhubctl/qhubctl/sdk"
)

// A plan lists the sources of an environment, from the files of the workspace.
type plan struct {
	// lock is the folder of the uv.lock that is followed; empty: none.
	lock string
	// project: [project] of pyproject.toml lists dependencies, which uv reads;
	// dynamic: only its build backend knows them.
	project, dynamic bool
	// requirements are those of pyproject.toml in the form of PEP 508; poetry: they
	// are of [tool.poetry], which uv does not read.
	requirements []string
	poetry       bool
	// file is the requirements file; hashed: it has hashes.
	file   string
	hashed bool
	// constraints are versions of poetry.lock.
	constraints []string
	local       *localPackages
	python      pythonWish
	// from are the names of the files that decide all this.
	from []string
	// inputs are the files that the environment depends on.
	inputs []string
}

// plan reads the files of the workspace. It starts no process.
func (w *Workspace) plan() (*plan, error) {
	p := &plan{local: newLocalPackages()}
	project, err := readDocument(w.path("pyproject.toml"))
	if err != nil {
		return nil, err
	}
	required, err := p.readFiles(w)
	if err != nil {
		return nil, err
	}
	if err := p.readProject(w, project); err != nil {
		return nil, err
	}
	if err := p.local.visit(w.Dir, required.names); err != nil {
		return nil, err
	}
	for _, path := range required.locals {
		if err := p.local.visit(path, nil); err != nil {
			return nil, err
		}
	}
	for _, name := range required.names {
		if l, ok := p.local.known[name]; ok && p.hashed {
			return nil, &Error{
				Message: fmt.Sprintf("%s is a local package (%s), and requirements.txt has hashes", l.name, l.path),
				Advice:  "take it out of requirements.txt: it is installed from its folder, and never from the package index",
			}
		}
	}
	if p.lock, err = lockDir(w.Dir); err != nil {
		return nil, err
	}
	if p.lock != "" {
		p.from = []string{"uv.lock"}
		p.inputs = append(p.inputs, filepath.Join(p.lock, "uv.lock"))
	}
	if p.python, err = w.pythonWish(project); err != nil {
		return nil, err
	}
	p.inputs = append(p.inputs, p.local.read...)
	if err := p.refuse(project); err != nil {
		return nil, err
	}
	return p, nil
}

// readFiles reads the requirements file. It does not count beside a lock file,
// because tools write it from that one.
func (p *plan) readFiles(w *Workspace) (requirementFiles, error) {
	p.inputs = []string{w.path("pyproject.toml"), w.path(".python-version"), w.path("poetry.lock"), w.path("uv.toml"), w.path("requirements.txt")}
	if !exists(w.path("requirements.txt")) {
		return requirementFiles{}, nil
	}
	required, err := readRequirements(w.path("requirements.txt"))
	if err != nil {
		return required, err
	}
	p.file, p.hashed = "requirements.txt", required.hashed
	p.from = append(p.from, p.file)
	p.inputs = append(p.inputs, required.files...)
	p.inputs = append(p.inputs, required.locals...) // archives; folders have no hash
	return required, nil
}

func (p *plan) readProject(w *Workspace, project document) error {
	table := project.table("project")
	dynamic := slices.Contains(table.texts("dynamic"), "dependencies")
	poetry := project.table("tool", "poetry")
	var err error
	switch {
	case poetry != nil && !table.has("dependencies"):
		p.poetry = true
		if p.requirements, err = poetryRequirements(project); err != nil {
			return err
		}
	case table != nil:
		p.project, p.dynamic, p.requirements = true, dynamic, table.texts("dependencies")
	case p.file == "" && (exists(w.path("setup.py")) || exists(w.path("setup.cfg"))):
		p.dynamic = true
		p.from = append(p.from, "setup.py")
	}
	if p.project || p.poetry {
		p.from = slices.Insert(p.from, 0, "pyproject.toml")
	}
	if poetry != nil && exists(w.path("poetry.lock")) {
		p.from = append(p.from, "poetry.lock")
		p.constraints, err = poetryLocked(w.Dir)
	}
	if files := project.table("tool", "setuptools", "dynamic", "dependencies").texts("file"); p.dynamic {
		for _, name := range files {
			p.inputs = append(p.inputs, resolvedIn(w.Dir, name))
		}
	}
	for _, requirement := range p.requirements {
		if requiredName(requirement) == "" {
			return &Error{
				Message: fmt.Sprintf("pyproject.toml: the dependency %q does not begin with the name of a package", requirement),
				Advice:  `a dependency is such as "requests>=2" or "lib @ file:///path"`,
			}
		}
	}
	return err
}

// lockDir is the folder of the lock file of uv that a folder's project follows.
func lockDir(dir string) (string, error) {
	if !exists(filepath.Join(dir, "pyproject.toml")) {
		return "", nil
	}
	if isFile(filepath.Join(dir, "uv.lock")) {
		return dir, nil
	}
	root, _, err := uvWorkspace(dir)
	if err == nil && root != "" && isFile(filepath.Join(root, "uv.lock")) {
		return root, nil
	}
	return "", err
}

// uvSettings are those of [tool.uv] and uv.toml that change the packages.
var uvSettings = []string{
	"index", "index-url", "extra-index-url", "default-index", "find-links", "no-index", "override-dependencies", "constraint-dependencies",
	"exclude-newer", "exclude-dependencies", "prerelease", "resolution", "no-sources",
}

// refuse refuses projects that only Poetry can install, and records the reasons
// why uv is needed.
func (p *plan) refuse(project document) error {
	if reason := poetrySourcesRefused(project); reason != "" {
		return &Error{Message: reason + ", which only Poetry installs from", Advice: poetryAdvice}
	}
	if p.lock != "" {
		p.local.onlyUV = append(p.local.onlyUV, "only uv can follow "+filepath.Join(p.lock, "uv.lock"))
	}
	dirs := []string{filepath.Dir(p.inputs[0])}
	if root, _, err := uvWorkspace(dirs[0]); err == nil && root != "" && root != dirs[0] {
		dirs = append(dirs, root)
	}
	for _, dir := range dirs {
		project, err := readDocument(filepath.Join(dir, "pyproject.toml"))
		if err != nil {
			return err
		}
		own, err := readDocument(filepath.Join(dir, "uv.toml"))
		if err != nil {
			return err
		}
		for _, name := range uvSettings {
			if own.has(name) || own.table("pip").has(name) {
				p.local.onlyUV = append(p.local.onlyUV, "uv.toml sets "+name)
			}
			if uv := project.table("tool", "uv"); uv.has(name) || uv.table("pip").has(name) {
				p.local.onlyUV = append(p.local.onlyUV, "[tool.uv] sets "+name)
			}
		}
	}
	return nil
}

// checkUV refuses to install without uv a project that only uv can install.
func (p *plan) checkUV() error {
	if len(p.local.onlyUV) == 0 {
		return nil
	}
	return &Error{
		Message: "this workspace needs uv, which is not installed: " + strings.Join(slices.Compact(p.local.onlyUV), "; "),
		Advice:  "install uv (pip install uv), or make the environment .venv yourself: it is used without changes",
	}
}

// guard are constraints for all local names, and the versions of poetry.lock.
func (p *plan) guard(uv bool) []string {
	lines := p.guardLocal(uv)
	for _, line := range p.constraints {
		name := requiredName(line)
		if _, local := p.local.known[name]; !local && p.local.remote[name] == "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// guardLocal are the constraints for names that have another source than an index.
func (p *plan) guardLocal(uv bool) []string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(p.local.known)) {
		lines = append(lines, p.local.known[name].requirement())
	}
	if uv && p.project {
		return lines // uv reads the others itself
	}
	for _, name := range slices.Sorted(maps.Keys(p.local.remote)) {
		lines = append(lines, p.local.remote[name])
	}
	return lines
}

// sources names the files that the environment is made from.
func (p *plan) sources() string {
	if len(p.from) == 0 {
		return "the SDK alone"
	}
	if p.lock != "" {
		return "uv.lock"
	}
	return strings.Join(p.from, " and ")
}

// environmentKey is a hash of everything that an environment is made from.
func (w *Workspace) environmentKey(p *plan) (string, error) {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "2 %s %t\n", w.Dir, w.UpstreamSDK)
	if !w.UpstreamSDK {
		wheel, err := sdk.PythonWheel()
		if err != nil {
			return "", err
		}
		sum := sha256.Sum256(wheel.Content)
		_, _ = fmt.Fprintf(h, "%s %x\n", wheel.Name, sum)
	}
	slices.Sort(p.inputs)
	for _, path := range slices.Compact(p.inputs) {
		if !isFile(path) {
			continue
		}
		sum, err := hashFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", &Error{Message: "cannot read " + path, Err: err}
		}
		_, _ = fmt.Fprintf(h, "%q %s\n", path, sum)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
