package workspace

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// requirementFiles is the content of a requirements file and those that it includes.
type requirementFiles struct {
	// files are all files that were read.
	files []string
	// names are those of the packages that are required.
	names []string
	// locals are the folders and archives that are required by their paths.
	locals []string
	// hashed: the installer compares the hashes of all packages.
	hashed bool
}

const (
	maxIncluded    = 100
	maxRequirement = 8 << 20
)

var (
	includes  = regexp.MustCompile(`^(?:-r|--requirement|-c|--constraint)[\s=]*(.+)$`)
	editables = regexp.MustCompile(`^(?:-e|--editable)[\s=]*(.+)$`)
	comments  = regexp.MustCompile(`(^|\s+)#.*$`)
)

// readRequirements follows the files that a requirements file includes. The
// installer reports a missing file.
func readRequirements(path string) (requirementFiles, error) {
	var all requirementFiles
	err := all.read(path, map[string]bool{})
	return all, err
}

func (all *requirementFiles) read(path string, seen map[string]bool) error {
	if seen[path] || len(seen) >= maxIncluded {
		return nil
	}
	seen[path] = true
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxRequirement) {
		return &Error{
			Message: "cannot read " + path + ": it is not a file of less than 8 MiB", Advice: "a requirements file lists packages, one on each line",
		}
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return &Error{Message: "cannot read " + path, Err: err}
	}
	all.files = append(all.files, path)
	joined := strings.ReplaceAll(strings.ReplaceAll(string(text), "\r\n", "\n"), "\\\n", " ")
	for line := range strings.SplitSeq(strings.TrimPrefix(joined, "\ufeff"), "\n") {
		line = strings.TrimSpace(comments.ReplaceAllString(line, ""))
		if err := all.line(line, filepath.Dir(path), seen); err != nil {
			return err
		}
	}
	return nil
}

func (all *requirementFiles) line(line, dir string, seen map[string]bool) error {
	if strings.Contains(line, "--hash") || strings.HasPrefix(line, "--require-hashes") {
		all.hashed = true
	}
	if found := includes.FindStringSubmatch(line); found != nil {
		if included := strings.Trim(found[1], `"' `); !strings.Contains(included, "://") {
			return all.read(resolvedIn(dir, included), seen)
		}
		return nil
	}
	if found := editables.FindStringSubmatch(line); found != nil {
		line = found[1]
	} else if strings.HasPrefix(line, "-") || line == "" {
		return nil
	}
	if path := localPath(line, dir); path != "" {
		all.locals = append(all.locals, path)
	}
	if name := requiredName(line); name != "" {
		all.names = append(all.names, name)
	}
	return nil
}

// localPath is the path that a requirement names, as a path or as a file URL;
// empty if it names none.
func localPath(requirement, dir string) string {
	target, _, _ := strings.Cut(requirement, ";")
	if name, location, ok := strings.Cut(target, "@"); ok && requiredName(name) != "" && !strings.ContainsAny(name, `/\:`) {
		target = location
	}
	target = strings.TrimSpace(target)
	target, _, _ = strings.Cut(target, " --")
	if strings.HasPrefix(target, "file:") {
		u, err := url.Parse(target)
		if err != nil || u.Host != "" && u.Host != "localhost" {
			return ""
		}
		if u.Opaque != "" { // file:lib
			return resolvedIn(dir, u.Opaque)
		}
		return filepath.FromSlash(u.Path)
	}
	if strings.Contains(target, "://") || !strings.ContainsAny(target, `/\`) && !strings.HasPrefix(target, ".") && !strings.HasSuffix(target, ".whl") {
		return ""
	}
	bare, _, _ := strings.Cut(target, "[")
	return resolvedIn(dir, strings.TrimSpace(bare))
}

// fileURL is the URL of a file, escaped: names may hold # and %.
func fileURL(path string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}
