package deploy

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
)

// ignoreFiles are read in each folder, the later one after the one before.
var ignoreFiles = []string{".gitignore", ".planqkignore", ".qhubignore"}

// maxIgnoreFile bounds an ignore file.
const maxIgnoreFile = 1 << 20

// A rule is one line of an ignore file, as git reads it.
type rule struct {
	pattern  *regexp.Regexp // of the path from the folder that was packed
	includes bool           // it begins with !
	folder   bool           // it ends with /
	source   string         // for people
}

// readRules reads the ignore files of a folder, of which within is the path from the
// one that is packed; empty for that one.
func readRules(dir, within string) ([]rule, error) {
	var rules []rule
	for _, name := range ignoreFiles {
		info, err := os.Stat(path.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && info.Size() > maxIgnoreFile {
			err = errors.New(name + " is too large for an ignore file")
		}
		var text []byte
		if err == nil {
			text, err = os.ReadFile(path.Join(dir, name))
		}
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(bytes.NewReader(text))
		lines.Buffer(nil, maxIgnoreFile)
		for lines.Scan() {
			if r, ok := parseRule(lines.Text(), within); ok {
				r.source = path.Join(within, name) + ": " + strings.TrimSpace(lines.Text())
				rules = append(rules, r)
			}
		}
	}
	return rules, nil
}

// parseRule reads a line; false if it has no rule.
func parseRule(line, within string) (rule, bool) {
	var r rule
	text := strings.TrimSuffix(line, "\r")
	if !strings.HasSuffix(text, `\ `) {
		text = strings.TrimRight(text, " \t")
	}
	if text == "" || text[0] == '#' {
		return r, false
	}
	if text[0] == '!' {
		r.includes, text = true, text[1:]
	}
	if strings.HasSuffix(text, "/") {
		r.folder, text = true, strings.TrimSuffix(text, "/")
	}
	anchored := strings.Contains(text, "/")
	text = strings.TrimPrefix(text, "/")
	prefix := ""
	if within != "" {
		prefix = regexp.QuoteMeta(within + "/")
	}
	if !anchored {
		prefix += "(?:.*/)?"
	}
	compiled, err := regexp.Compile("^" + prefix + translate(text) + "$")
	if err != nil || text == "" { // git takes a broken pattern for one that matches nothing
		return r, false
	}
	r.pattern = compiled
	return r, true
}

// translate makes a regular expression of a pattern of git.
func translate(pattern string) string {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		rest := pattern[i:]
		switch {
		case strings.HasPrefix(rest, "**/") && (i == 0 || pattern[i-1] == '/'):
			b.WriteString("(?:.*/)?")
			i += 2
		case rest == "**" && i > 0 && pattern[i-1] == '/':
			b.WriteString(".+")
			i++
		case rest[0] == '*':
			b.WriteString("[^/]*")
		case rest[0] == '?':
			b.WriteString("[^/]")
		case rest[0] == '[' && strings.Contains(rest, "]"):
			end := strings.Index(rest[1:], "]") + 1
			class := rest[1:end]
			if strings.HasPrefix(class, "!") {
				class = "^" + class[1:]
			}
			b.WriteString("[" + strings.ReplaceAll(class, `\`, `\\`) + "]")
			i += end
		case rest[0] == '\\' && len(rest) > 1:
			b.WriteString(regexp.QuoteMeta(rest[1:2]))
			i++
		default:
			b.WriteString(regexp.QuoteMeta(rest[:1]))
		}
	}
	return b.String()
}

// ignored finds the rule that leaves a path out: the last one that matches counts.
func ignored(rules []rule, name string, folder bool) (by string, ok bool) {
	for i := len(rules) - 1; i >= 0; i-- {
		if r := rules[i]; (folder || !r.folder) && r.pattern.MatchString(name) {
			return r.source, !r.includes
		}
	}
	return "", false
}
