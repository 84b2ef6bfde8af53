package workspace

import (
	"bufio"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// linkedSource is the target of a symbolic link of the workspace, if that is Python
// code outside of it, or in a folder that executions do not see.
func linkedSource(workspace, link string) (target string, ok bool) {
	target, err := filepath.EvalSymlinks(link)
	if err != nil {
		return "", false
	}
	behind, err := filepath.EvalSymlinks(workspace)
	if err != nil {
		return "", false
	}
	if relative, inside := Inside(behind, target); inside && !hasHiddenPart(relative) {
		return "", false
	}
	if _, around := Inside(target, behind); around || slices.ContainsFunc(strings.Split(target, string(filepath.Separator)), holdsSecrets) {
		return "", false
	}
	info, err := os.Stat(target)
	switch {
	case err != nil:
		return "", false
	case info.Mode().IsRegular():
		return target, filepath.Ext(target) == ".py"
	}
	return target, info.IsDir() && !isEnvironment(target) && holdsPython(target)
}

func hasHiddenPart(relative string) bool {
	return slices.ContainsFunc(strings.Split(relative, string(filepath.Separator)), func(part string) bool {
		return strings.HasPrefix(part, ".") && part != "."
	})
}

// holdsPython reports whether a folder, or one directly below it, holds Python code.
func holdsPython(dir string) bool {
	for _, pattern := range []string{"*.py", "*/*.py"} {
		if found, err := filepath.Glob(filepath.Join(globEscaped(dir), filepath.FromSlash(pattern))); err == nil && len(found) > 0 {
			return true
		}
	}
	return false
}

// LinkedSources are the folders and files outside the workspace that hold code of
// the service: those that its symbolic links lead to, and the packages that are
// installed in the environment as links.
func (w *Workspace) LinkedSources(env *Environment) []string {
	var all []string
	add := func(path string) {
		if _, inside := Inside(w.Dir, path); !inside && !slices.Contains(all, path) {
			all = append(all, path)
		}
	}
	follow := func(path string, entry fs.DirEntry) error {
		if entry.Type()&fs.ModeSymlink != 0 {
			if target, ok := linkedSource(w.Dir, path); ok {
				add(target)
			}
		}
		return nil
	}
	_ = w.walkSources(w.Dir, follow) // of a large workspace only the first ones
	for _, dir := range env.packageDirs() {
		add(dir)
	}
	for pending := all; len(pending) > 0; { // they may hold links too
		before := len(all)
		for _, dir := range pending {
			_ = w.walkSources(dir, follow)
		}
		pending = all[before:]
	}
	return all
}

// maxPackageDirs is how many folders of packages outside an environment count.
const maxPackageDirs = 100

// packageDirs are the folders of packages that an environment uses in place: those
// of editable installs.
func (e *Environment) packageDirs() []string {
	if e.Python == "" {
		return nil
	}
	prefix := e.Dir
	if prefix == "" {
		prefix = filepath.Dir(filepath.Dir(e.Python))
	}
	home, _ := os.UserHomeDir()
	var dirs []string
	add := func(dir string) {
		_, around := Inside(dir, home) // the whole home would show too much
		_, inside := Inside(prefix, dir)
		covered := slices.ContainsFunc(dirs, func(other string) bool { _, in := Inside(other, dir); return in })
		if info, err := os.Stat(dir); err == nil && info.IsDir() && !inside && !covered && len(dirs) < maxPackageDirs && dir != "/" && (home == "" || !around) {
			dirs = append(dirs, dir)
		}
	}
	for _, site := range sitePackages(prefix) {
		entries, err := os.ReadDir(site)
		if err != nil {
			continue
		}
		for _, entry := range entries {
			path := filepath.Join(site, entry.Name())
			switch filepath.Ext(entry.Name()) {
			case ".pth":
				for _, dir := range pathsIn(path) {
					add(dir)
				}
			case ".dist-info":
				if dir := editableDir(filepath.Join(path, "direct_url.json")); dir != "" {
					add(dir)
				}
			}
		}
	}
	return dirs
}

// pathsIn are the folders that a .pth file adds to sys.path.
func pathsIn(file string) []string {
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	var paths []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := strings.TrimRight(lines.Text(), " \t\r")
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "import ") || strings.HasPrefix(line, "import\t") {
			continue
		}
		paths = append(paths, resolvedIn(filepath.Dir(file), line))
	}
	return paths
}

// maxRecord is how much of a record of an installer is read. A deployed service could
// come with one of gigabytes.
const maxRecord = 64 << 10

// editableDir is the folder of an editable package, as the installer records it;
// empty for other packages.
func editableDir(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxRecord))
	if err != nil {
		return ""
	}
	var direct struct {
		URL string `json:"url"`
		Dir struct {
			Editable bool `json:"editable"`
		} `json:"dir_info"`
	}
	if json.Unmarshal(text, &direct) != nil || !direct.Dir.Editable {
		return ""
	}
	u, err := url.Parse(direct.URL)
	if err != nil || u.Scheme != "file" {
		return ""
	}
	return filepath.FromSlash(u.Path)
}

// hashLinked takes the text of the Python files of linked sources.
func (w *Workspace) hashLinked(h hash.Hash, env *Environment) error {
	files := 0
	for _, dir := range w.LinkedSources(env) {
		err := w.walkSources(dir, func(path string, _ fs.DirEntry) error {
			if filepath.Ext(path) != ".py" {
				return nil
			}
			if files++; files > maxSources {
				return fs.ErrInvalid
			}
			sum, _ := hashFile(path) // empty for a broken link, or a link to a folder
			_, _ = fmt.Fprintf(h, "%q %s\n", path, sum)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// A Copy is a folder or file outside the workspace, and the copy that executions
// see in its place.
type Copy struct{ At, From string }

// linked copies code that lies outside the workspace to the folder beside the
// snapshot.
func (t *snapshotter) linked(target string) error {
	for _, c := range t.Linked {
		if _, covered := Inside(c.At, target); covered {
			return nil
		}
	}
	info, err := os.Stat(target)
	if gone(err) {
		return nil
	}
	if err != nil || t.hidden.file(info) {
		return err
	}
	folder := t.Dir + linkedSuffix
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	c := Copy{target, filepath.Join(folder, strconv.Itoa(len(t.Linked)+1))}
	if !info.IsDir() {
		t.Linked = append(t.Linked, c)
		return t.file(target, c.From)
	}
	if isLarge(target) {
		return t.pool(target)
	}
	t.Linked = append(t.Linked, c)
	if err := os.Mkdir(c.From, 0o700); err != nil {
		return err
	}
	relative, err := filepath.Rel(t.Dir, c.From)
	if err != nil {
		return err
	}
	if err := t.folder(target, relative); err != nil {
		return err
	}
	return t.like(c.From, info)
}

const linkedSuffix = ".linked"

// beside reports whether a copy lies beside the snapshot.
func beside(relative string) bool { return strings.HasPrefix(relative, "..") }
