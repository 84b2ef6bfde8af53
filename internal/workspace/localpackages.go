package workspace

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
)

// A localPackage is a package on this machine that the workspace names as the
// source of a dependency.
type localPackage struct {
	name, path string
	editable   bool
}

// requirement is the package in the form of a URL requirement.
func (p localPackage) requirement() string { return p.name + " @ " + fileURL(p.path) }

// localPackages finds the local packages that a project names, and those that
// these name. No installer may take a package of such a name from an index.
type localPackages struct {
	known map[string]localPackage
	// wanted are the names of those that are installed.
	wanted map[string]bool
	// remote are requirements with the URL that the project gives for a name.
	remote map[string]string
	// read are the files that were read.
	read []string
	// onlyUV are reasons why another installer would install something else.
	onlyUV []string

	visited map[string]bool
}

func newLocalPackages() *localPackages {
	return &localPackages{
		known: map[string]localPackage{}, wanted: map[string]bool{}, remote: map[string]string{}, visited: map[string]bool{},
	}
}

// visit reads the project in dir. Names are the packages that another source, such
// as a requirements file, takes from it.
func (l *localPackages) visit(dir string, names []string) error {
	if l.visited[dir] {
		return nil
	}
	l.visited[dir] = true
	project, err := l.document(dir)
	if err != nil || project == nil {
		return err
	}
	if err := l.uvSources(dir, project); err != nil {
		return err
	}
	wanted := slices.Concat(names, l.poetrySources(dir, project))
	for _, requirement := range project.table("project").texts("dependencies") {
		wanted = append(wanted, requiredName(requirement))
		if path := localPath(requirement, dir); path != "" {
			if err := l.visit(path, nil); err != nil {
				return err
			}
		}
	}
	if slices.Contains(project.table("project").texts("dynamic"), "dependencies") {
		wanted = slices.AppendSeq(wanted, maps.Keys(l.known))
	}
	return l.want(wanted)
}

func (l *localPackages) want(names []string) error {
	for _, name := range names {
		p, ok := l.known[name]
		if !ok && l.remote[name] == "" || l.wanted[name] {
			continue
		}
		l.wanted[name] = true
		if !ok {
			continue
		}
		if !exists(p.path) {
			return &Error{
				Message: fmt.Sprintf("the local package %s is not there: no %s", p.name, p.path),
				Advice:  "correct its path in pyproject.toml; a package of a local name is never taken from the package index",
			}
		}
		if err := l.visit(p.path, nil); err != nil {
			return err
		}
	}
	return nil
}

// document reads the pyproject.toml of a folder. It records the other files that
// decide how the package is built.
func (l *localPackages) document(dir string) (document, error) {
	for _, name := range []string{"pyproject.toml", "setup.py", "setup.cfg"} {
		l.read = append(l.read, filepath.Join(dir, name))
	}
	if isFile(dir) { // an archive
		return nil, nil
	}
	return readDocument(filepath.Join(dir, "pyproject.toml"))
}

// uvSources reads [tool.uv.sources] of a project, and of the uv workspace that it
// is a member of.
func (l *localPackages) uvSources(dir string, project document) error {
	root, workspace, err := uvWorkspace(dir)
	if err != nil {
		return err
	}
	var members map[string]string
	if root != "" {
		members = l.members(root, workspace)
		for name, member := range members {
			l.add(localPackage{name, member, true})
		}
		if root != dir {
			l.read = append(l.read, filepath.Join(root, "pyproject.toml"))
			l.sources(root, workspace.table("tool", "uv", "sources"), members)
		}
	}
	l.sources(dir, project.table("tool", "uv", "sources"), members)
	return nil
}

func (l *localPackages) add(p localPackage) {
	if p.name != "qhub-commons" {
		l.known[p.name] = p
	}
}

func (l *localPackages) sources(dir string, sources document, members map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		source, normal := sources.table(name), packageName(name)
		switch member, ok := members[normal]; {
		case source.bool("workspace") && ok:
			l.add(localPackage{normal, member, true})
		case source.bool("workspace"):
			l.onlyUV = append(l.onlyUV, name+" is a member of a uv workspace that is not found")
		case source.text("path") != "" && !source.has("marker"):
			l.add(localPackage{normal, resolvedIn(dir, source.text("path")), source.bool("editable")})
		case source.text("git") != "" && !source.has("marker"):
			l.remote[normal] = normal + " @ " + gitURL(source)
		case source.text("url") != "" && !source.has("marker"):
			l.remote[normal] = normal + " @ " + source.text("url")
		case source.text("index") != "":
			l.onlyUV = append(l.onlyUV, fmt.Sprintf("%s comes from the index %q of [tool.uv]", name, source.text("index")))
		default:
			l.onlyUV = append(l.onlyUV, "[tool.uv.sources] gives several sources for "+name)
		}
	}
}

// gitURL is the URL of a source in a Git repository, of uv or of Poetry.
func gitURL(source document) string {
	location := "git+" + source.text("git")
	if revision := cmp.Or(source.text("rev"), source.text("tag"), source.text("branch")); revision != "" {
		location += "@" + revision
	}
	if below := source.text("subdirectory"); below != "" {
		location += "#subdirectory=" + below
	}
	return location
}

// uvWorkspace is the root of the uv workspace that a folder is a member of, with
// its pyproject.toml; empty if there is none.
func uvWorkspace(dir string) (root string, workspace document, err error) {
	for root = dir; ; root = filepath.Dir(root) {
		project, err := readDocument(filepath.Join(root, "pyproject.toml"))
		if err != nil && root == dir {
			return "", nil, err
		}
		if uv := project.table("tool", "uv"); uv.has("workspace") {
			if root == dir || slices.Contains(memberDirs(root, uv.table("workspace")), dir) {
				return root, project, nil
			}
			return "", nil, nil
		}
		if root == filepath.Dir(root) {
			return "", nil, nil
		}
	}
}

// memberDirs are the folders of the members of a uv workspace.
func memberDirs(root string, workspace document) []string {
	var dirs []string
	matching := func(name string) (found []string) {
		for _, pattern := range workspace.texts(name) {
			matches, err := filepath.Glob(filepath.Join(globEscaped(root), filepath.FromSlash(pattern)))
			if err == nil {
				found = append(found, matches...)
			}
		}
		return found
	}
	excluded := matching("exclude")
	for _, dir := range matching("members") {
		if !slices.Contains(excluded, dir) && !slices.Contains(dirs, dir) && isFile(filepath.Join(dir, "pyproject.toml")) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// globEscaped is a pattern that matches a path and no other.
func globEscaped(path string) string {
	var escaped []rune
	for _, r := range path {
		if r == '*' || r == '?' || r == '[' || r == '\\' && filepath.Separator != '\\' {
			escaped = append(escaped, '\\')
		}
		escaped = append(escaped, r)
	}
	return string(escaped)
}

// members are the members of a uv workspace by their names, the root among them.
func (l *localPackages) members(root string, workspace document) map[string]string {
	members := map[string]string{}
	if name := workspace.table("project").text("name"); name != "" {
		members[packageName(name)] = root
	}
	for _, dir := range memberDirs(root, workspace.table("tool", "uv", "workspace")) {
		path := filepath.Join(dir, "pyproject.toml")
		l.read = append(l.read, path)
		project, err := readDocument(path)
		if err != nil {
			continue // reported when the member is installed
		}
		if name := project.table("project").text("name"); name != "" {
			members[packageName(name)] = dir
		}
	}
	return members
}
