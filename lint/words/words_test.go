package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// problems runs the rules over one file and returns what they say.
func problems(t *testing.T, name, content string) string {
	t.Helper()
	rules, err := readVocabulary()
	if err != nil {
		t.Fatal(err)
	}
	texts, err := extractors[filepath.Ext(name)](content)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range judge(texts, rules) {
		b.WriteString(name + ": " + f.problem + "\n")
	}
	return b.String()
}

func TestFindings(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("word ", maxSentence) + "more."
	for name, c := range map[string]struct {
		file, text string
		want       string // empty: no finding
	}{
		"a comment":                  {"a.go", "package a\n\n// It begins a" + "new.\nvar x int\n", "again"},
		"a comment in a function":    {"a.go", "package a\n\nfunc f() {\n\t// No" + "body waits.\n}\n", "name the actor"},
		"a message":                  {"a.go", "package a\n\nvar x = \"the file is read by it" + "self and closed\"\n", "automatically"},
		"a short string is no prose": {"a.go", "package a\n\nvar x = \"a" + "new\"\n", ""},
		"code in a comment":          {"a.go", "package a\n\n// F sets `a" + "new`.\n//\n//\ta" + "new = 1\nfunc F() {}\n", ""},
		"any case":                   {"a.md", "Be" + "sides, it works.\n", "also"},
		"over a line end is apart":   {"a.md", "It is a file of its\nown kind.\n", ""},
		"a fence":                    {"a.md", "Text.\n\n```bash\necho a" + "new\n```\n", ""},
		"after a fence":              {"a.md", "```\nx\n```\n\nIt starts a" + "new.\n", "again"},
		"an address":                 {"a.md", "See [it](https://example.com/be" + "sides).\n", ""},
		"a docstring":                {"a.py", "def f():\n    \"\"\"Starts a" + "new.\"\"\"\n", "again"},
		"a comment of Python":        {"a.py", "x = '# a" + "new'  # but it starts a" + "new\n", "again"},
		"a page":                     {"a.html", "<script>a" + "new()</script><p class=\"a" + "new\">It starts a" + "new</p>", "again"},
		"a long sentence":            {"a.md", long, "a sentence of 36 words"},
		"two sentences":              {"a.md", strings.Repeat("word ", maxSentence-1) + "word. More words here.", ""},
		"items of a list":            {"a.md", "- " + strings.Repeat("word ", 20) + "\n- " + strings.Repeat("word ", 20), ""},
		"cells of a table":           {"a.md", "| " + strings.Repeat("word ", 20) + "| " + strings.Repeat("word ", 20) + "|", ""},
		"a name of before":           {"a.go", "package a\n\n// The ca" + "ge is closed.\nvar x int\n", "sandbox"},
		"a word that only holds one": {"a.md", "A recreated template packages kittens.\n", ""},
	} {
		got := problems(t, c.file, c.text)
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("findings in %s: %q, want %q", name, got, c.want)
		}
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	rules, err := readVocabulary()
	if err != nil {
		t.Fatal(err)
	}
	texts, err := goTexts("package a\n\n// One line.\n// Then a" + "new.\nvar x int\n")
	if err != nil {
		t.Fatal(err)
	}
	if found := judge(texts, rules); len(found) != 1 || found[0].line != 4 {
		t.Errorf("findings = %v, want one on line 4", found)
	}
}

func TestCountsOnlyFall(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "counts.txt")
	two := map[string][]finding{"a.md": make([]finding, 2), "b.md": make([]finding, 1)}
	if err := record(path, two, nil); err != nil {
		t.Fatal(err)
	}
	recorded, err := readCounts(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := compare(two, recorded); err != nil {
		t.Errorf("compare(unchanged) = %v, want nil", err)
	}
	for name, found := range map[string]map[string][]finding{
		"a rise":     {"a.md": make([]finding, 3), "b.md": make([]finding, 1)},
		"a new file": {"a.md": make([]finding, 2), "b.md": make([]finding, 1), "c.md": make([]finding, 1)},
	} {
		if compare(found, recorded) == nil || record(path, found, recorded) == nil {
			t.Errorf("%s: no error, want one of compare and of record", name)
		}
	}
	fewer := map[string][]finding{"a.md": make([]finding, 1)}
	if err := compare(fewer, recorded); err == nil || !strings.Contains(err.Error(), "make words") {
		t.Errorf("compare(fewer) = %v, want an error that names make words", err)
	}
	if err := record(path, fewer, recorded); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(path); string(text) != "1 a.md\n" {
		t.Errorf("record(fewer) writes %q, want the lower count alone", text)
	}
}

func TestRetiredNames(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "a.go")
	source := "package a\n\ntype old struct{ field int }\n\nfunc f(old int) {\n\tfor old := range 3 {\n\t\t_ = old\n\t}\n}\n"
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	err := retiredIn(file, "a.go", map[string]string{"old": "newer"})
	if err == nil || strings.Count(err.Error(), "is called newer here") != 3 {
		t.Errorf("retiredIn(three declarations) = %v, want three findings", err)
	}
}

func TestSubjects(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"store/sqlite: skip the commit delay when the batch is full": true,
		"all: rename files after their content":                      true,
		"internal/{a,b}: share one reader":                           true,
		".ci: run the long suites":                                   true,
		"Skip the commit delay":                                      false,
		"store: Skip it":                                             false,
		"store: skip it.":                                            false,
		"store: " + strings.Repeat("x", maxSubject):                  false,
	} {
		if err := checkSubject("0", text); (err == nil) != want {
			t.Errorf("checkSubject(%q) = %v, want accepted: %t", text, err, want)
		}
	}
}

// TestSubjectsAreChecked makes sure that the check of commits is in force where the
// project's history is there: a checkout without the first commit is not checked.
func TestSubjectsAreChecked(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	const first = "b3c321010534c7f5cf1152fd7efef531d652f523"
	if shallow, err := git(root, "rev-parse", "--is-shallow-repository"); err != nil || strings.TrimSpace(string(shallow)) != "false" || !knows(root, first) {
		t.Skip("this checkout does not have the history of the project")
	}
	if !knows(root, subjectsSince) {
		t.Errorf("the checkout has no commit %s, since which subjects are checked: none is", subjectsSince)
	}
	if err := checkSubjects(root); err != nil {
		t.Error(err)
	}
}

// TestProgram runs the whole program over a small repository.
func TestProgram(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "git", "init", "-q", root).CombinedOutput(); err != nil {
		t.Skipf("git is missing: %v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(root, "a.md"), []byte("It starts a"+"new.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := run([]string{"-root", root, "-list", "."}, &out); err != nil || !strings.Contains(out.String(), "a.md:1:") {
		t.Errorf("run(-list) = %v, %q, want the finding", err, out.String())
	}
	found, err := check(root)
	if err != nil || compare(found, nil) == nil {
		t.Errorf("compare(a finding, nothing recorded) = nil, want an error (check: %v)", err)
	}
}

// TestNamingPage holds the page of names to its form: each term once, with one
// sentence that the linter accepts.
func TestNamingPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "naming.md"))
	if err != nil {
		t.Fatal(err)
	}
	if got := problems(t, "naming.md", string(page)); got != "" {
		t.Errorf("docs/naming.md breaks its own rules:\n%s", got)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) != 4 || strings.Contains(line, "---") || strings.Contains(line, "| Term |") {
			continue
		}
		term, meaning := strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2])
		if seen[term] {
			t.Errorf("the term %q stands twice", term)
		}
		seen[term] = true
		if !strings.HasSuffix(meaning, ".") || strings.Contains(meaning, ". ") {
			t.Errorf("the meaning of %q is %q, want one sentence", term, meaning)
		}
	}
	for _, term := range []string{"zygote", "spare", "fork", "sandbox", "layer", "seal", "wrap", "lease", "claim", "revision", "version"} {
		if !seen[term] {
			t.Errorf("docs/naming.md does not define %q", term)
		}
	}
}
