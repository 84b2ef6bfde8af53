package workspace

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// hiddenFiles are files that executions must not see, by their paths and inodes.
type hiddenFiles struct {
	paths []string
	infos []os.FileInfo
	// before were hidden earlier. Another file may have taken the path of one, which
	// still exists under its other names.
	before []os.FileInfo
}

// newHiddenFiles takes paths, and adds the paths in dir that lead there by a
// symbolic link.
func newHiddenFiles(dir string, paths []string, before []os.FileInfo) hiddenFiles {
	h := hiddenFiles{before: before}
	behind, err := filepath.EvalSymlinks(dir)
	if err != nil {
		behind = dir
	}
	for _, path := range paths {
		h.paths = append(h.paths, path)
		if target, err := filepath.EvalSymlinks(path); err == nil && target != path {
			h.paths = append(h.paths, target)
		}
		if relative, ok := Inside(behind, path); ok {
			h.paths = append(h.paths, filepath.Join(dir, relative))
		}
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			h.infos = append(h.infos, info)
		}
	}
	return h
}

// name reports whether a path belongs to a hidden file, or to a copy that editors and
// tools leave beside one: token~, token.bak, #token#, "token (copy).txt", sedXXXXXX.
func (h hiddenFiles) name(path string) bool {
	return slices.ContainsFunc(h.paths, func(hidden string) bool {
		dir, name := filepath.Split(hidden)
		inside, ok := strings.CutPrefix(path, dir)
		if !ok || strings.ContainsRune(inside, filepath.Separator) {
			return false
		}
		stem := strings.TrimSuffix(name, filepath.Ext(name))
		return holdsWord(inside, name) || stem != "" && holdsWord(inside, stem) && filepath.Ext(inside) == filepath.Ext(name) ||
			temporaryName.MatchString(inside)
	})
}

// temporaryName matches the temporary files of sed.
var temporaryName = regexp.MustCompile(`^sed[A-Za-z0-9]{6}$`)

// holdsWord reports whether a name contains another one as a word. No letter or digit
// may follow it, and only prefixes of tools may precede it. So token.bak and "Copy of
// token" contain token; tokenizer.json and my-token do not.
func holdsWord(name, word string) bool {
	for from := 0; ; {
		i := strings.Index(name[from:], word)
		if i < 0 {
			return false
		}
		begin, end := from+i, from+i+len(word)
		after, _ := utf8.DecodeRuneInString(name[end:])
		if (begin == 0 || strings.IndexByte(" ~#.$(", name[begin-1]) >= 0) && !unicode.IsLetter(after) && !unicode.IsDigit(after) {
			return true
		}
		from = begin + 1
	}
}

// file reports whether a file is another name of a hidden one.
func (h hiddenFiles) file(info os.FileInfo) bool {
	if slices.ContainsFunc(h.infos, func(hidden os.FileInfo) bool { return os.SameFile(hidden, info) }) {
		return true
	}
	// The system reuses an inode number once no name of its file is left.
	return slices.ContainsFunc(h.before, func(hidden os.FileInfo) bool {
		return os.SameFile(hidden, info) && hidden.ModTime().Equal(info.ModTime()) && hidden.Size() == info.Size()
	})
}
