package docs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const module = "github.com/qhubctl/qhubctl/"

// beside are packages that the table does not list: suites and tools of tests,
// examples, and the inside of the Go SDK.
var beside = regexp.MustCompile(`test$|testenv$|/runnertest/|^docs$|^scripts$|^examples/|/scaffold/|^sdk/go/internal/`)

// projectImports are the packages of the project, each with those that it imports.
func projectImports(t *testing.T) map[string][]string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "./...")
	command.Dir = ".."
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list = %v, want the packages", err)
	}
	all := map[string][]string{}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(p.ImportPath, module)
		if beside.MatchString(name) {
			continue
		}
		all[name] = nil
		for _, imported := range p.Imports {
			if own, ok := strings.CutPrefix(imported, module); ok {
				all[name] = append(all[name], own)
			}
		}
	}
}

var packageRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| [^|]+ \\| ([^|]+) \\|$")

// importList is the third column of a row.
func importList(imports []string) string {
	if len(imports) == 0 {
		return "none"
	}
	names := make([]string, len(imports))
	for i, name := range imports {
		names[i] = "`" + strings.TrimPrefix(name, "internal/") + "`"
	}
	return strings.Join(names, ", ")
}

// TestArchitectureListsImports compares the table of packages with the code, in
// both directions. The imports are those on Linux.
func TestArchitectureListsImports(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the table lists the imports on Linux")
	}
	page, err := os.ReadFile("architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	if lines := bytes.Count(page, []byte("\n")); lines > 200 {
		t.Errorf("architecture.md has %d lines, want at most 200", lines)
	}
	imports := projectImports(t)
	for _, row := range packageRow.FindAllStringSubmatch(string(page), -1) {
		name, listed := row[1], row[2]
		actual, ok := imports[name]
		if !ok {
			t.Errorf("the table lists %s, want a package of the project", name)
			continue
		}
		delete(imports, name)
		if want := importList(actual); listed != want && listed != "any" {
			t.Errorf("the table lists for %s\n\t%s\nwant\n\t%s", name, listed, want)
		}
	}
	for name, actual := range imports {
		t.Errorf("the table has no row for %s, want\n| `%s` | … | %s |", name, name, importList(actual))
	}
}

// A layerRule is a rule of depguard.
type layerRule struct {
	Mode  string `yaml:"list-mode"`
	Files []string
	Allow []string
	Deny  []struct{ Pkg string }
}

func layerRules(t *testing.T) map[string]layerRule {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", ".golangci.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Linters struct {
			Settings struct {
				Depguard struct{ Rules map[string]layerRule }
			}
		}
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	rules := config.Linters.Settings.Depguard.Rules
	if len(rules) < 10 {
		t.Fatalf("read %d rules of depguard, want 10 or more", len(rules))
	}
	return rules
}

var globPart = regexp.MustCompile(`\*\*/|\*\*|\*|[^*]+`)

// globMatches reports whether a pattern of depguard matches a file.
func globMatches(pattern, file string) bool {
	expression := globPart.ReplaceAllStringFunc(pattern, func(part string) string {
		switch part {
		case "**/":
			return "(?:.*/)?"
		case "**":
			return ".*"
		case "*":
			return "[^/]*"
		default:
			return regexp.QuoteMeta(part)
		}
	})
	return regexp.MustCompile("^" + expression + "$").MatchString(file)
}

// covers reports whether a rule is about the code of a package.
func (r layerRule) covers(name string) bool {
	file, included, restricted := "/"+name+"/file.go", false, false
	for _, pattern := range r.Files {
		switch excluded, isExclusion := strings.CutPrefix(pattern, "!"); {
		case pattern == "!$test":
		case isExclusion && globMatches(excluded, file):
			return false
		case !isExclusion:
			restricted = true
			included = included || globMatches(pattern, file)
		}
	}
	return included || !restricted
}

// longest is the length of the longest of some prefixes that an import has; one that
// ends with $ must be the whole of it.
func longest(prefixes []string, imported string) int {
	length := -1
	for _, prefix := range prefixes {
		whole, exact := strings.CutSuffix(prefix, "$")
		if exact && whole == imported || !exact && strings.HasPrefix(imported, prefix) {
			length = max(length, len(whole))
		}
	}
	return length
}

func (r layerRule) denied() []string {
	var all []string
	for _, deny := range r.Deny {
		all = append(all, deny.Pkg)
	}
	return all
}

// denies reports whether a rule keeps a package from an import.
func (r layerRule) denies(name, imported string) bool {
	if !r.covers(name) {
		return false
	}
	allowed, denied := longest(r.Allow, imported), longest(r.denied(), imported)
	if r.Mode == "strict" {
		return allowed < 0
	}
	return denied > allowed
}

// forbidden are imports that the picture has no arrow for: of packages, those
// whose names begin so.
var forbidden = map[string][]string{
	"internal/engine":    {"internal/runner/process", "internal/runner/forkserver", "internal/store/sqlite", "internal/sandbox", "internal/cli"},
	"internal/httpapi":   {"internal/cli"},
	"internal/client":    {"internal/engine", "internal/store", "internal/httpapi", "internal/server"},
	"internal/web":       {"internal/engine", "internal/httpapi"},
	"internal/console":   {"internal/engine", "internal/httpapi", "internal/store", "internal/access", "internal/hub"},
	"internal/server":    {"internal/devserver", "internal/build", "internal/workspace", "internal/term", "internal/cli"},
	"internal/devserver": {"internal/term", "internal/cli"},
	"internal/local":     {"internal/term", "internal/cli"},
	"internal/build":     {"internal/term", "internal/cli"},
	"internal/redact":    {"internal/engine", "internal/store", "internal/signature"},
	"internal/signature": {"internal/engine", "internal/execution", "sdk"},
	"internal/execution": {"internal/signature"},
	"internal/plaintext": {"internal/redact"},
	"sdk/go/service":     {"internal/signature", "sdk"},
}

// TestLayersAreHeld checks that depguard denies what the picture forbids, and
// nothing that the table lists, and that no rule is about a package that is gone.
func TestLayersAreHeld(t *testing.T) {
	t.Parallel()
	rules, imports := layerRules(t), projectImports(t)
	for name, list := range forbidden {
		if _, ok := imports[name]; !ok {
			t.Errorf("the test forbids imports of %s, want a package of the project", name)
		}
		for _, imported := range list {
			if !deniedByAny(rules, name, module+imported) {
				t.Errorf("no rule of depguard keeps %s from importing %s, want one", name, imported)
			}
		}
	}
	for name, list := range imports {
		for _, imported := range list {
			if deniedByAny(rules, name, module+imported) {
				t.Errorf("a rule of depguard denies %s to import %s, want the imports of the table allowed", name, imported)
			}
		}
	}
	for rule, r := range rules {
		for _, about := range append(r.denied(), r.Allow...) {
			own, ok := strings.CutPrefix(strings.TrimSuffix(about, "$"), module)
			if ok && !slices.ContainsFunc(keys(imports), func(name string) bool { return strings.HasPrefix(name, own) }) {
				t.Errorf("the rule %s is about %s, want a package of the project", rule, own)
			}
		}
		for _, pattern := range r.Files {
			glob := strings.TrimPrefix(pattern, "!")
			if glob != "$test" && !slices.ContainsFunc(keys(imports), func(name string) bool { return globMatches(glob, "/"+name+"/file.go") }) &&
				!strings.HasSuffix(strings.TrimSuffix(glob, "/*.go"), "test") {
				t.Errorf("the rule %s is about the files %s, want some in the project", rule, glob)
			}
		}
	}
}

func keys(imports map[string][]string) []string {
	all := make([]string, 0, len(imports))
	for name := range imports {
		all = append(all, name)
	}
	return all
}

func deniedByAny(rules map[string]layerRule, name, imported string) bool {
	for _, r := range rules {
		if r.denies(name, imported) {
			return true
		}
	}
	return false
}
