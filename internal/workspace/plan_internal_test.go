package workspace

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/testenv"
)

// inFiles is a Python workspace with these files.
func inFiles(t *testing.T, files map[string]string) *Workspace {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return &Workspace{Dir: dir, Language: Python}
}

func TestVersionSpecifiers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		specifiers, version string
		want                bool
	}{
		{">=3.10", "3.10", true},
		{">=3.10", "3.9.18", false},
		{">=3.10,<3.13", "3.13.0", false},
		{">= 3.10, < 4", "3.14.1", true},
		{"==3.12.*", "3.12.7", true},
		{"==3.12", "3.12.1", false},
		{"==3.12", "3.12.0", true},
		{"!=3.11.*", "3.11.2", false},
		{"!=3.11.1", "3.11.2", true},
		{"~=3.10", "3.13.1", true},
		{"~=3.10.2", "3.11", false},
		{"~=3.10.2", "3.10.9", true},
		{">3.10", "3.10.0", false},
		{"<=3.12", "3.12.0", true},
		{"===3.12.1", "3.12.1", true},
		{"", "3.12.1", true},
	} {
		if got, ok := allows(test.specifiers, asVersion(test.version)); !ok || got != test.want {
			t.Errorf("allows(%q, %s) = %t, %t, want %t", test.specifiers, test.version, got, ok, test.want)
		}
	}
	for _, wrong := range []string{"3.10", "^3.10", ">=", ">=x", "three"} {
		if _, ok := allows(wrong, asVersion("3.10")); ok {
			t.Errorf("allows(%q) = ok, want that it cannot be read", wrong)
		}
	}
}

func TestPoetryRequirements(t *testing.T) {
	t.Parallel()
	w := inFiles(t, map[string]string{"pyproject.toml": `
[tool.poetry]
name = "service"
[tool.poetry.dependencies]
python = "^3.10"
caret = "^1.2.3"
caret_zero = "^0.2.3"
caret-zeros = "^0.0.3"
tilde = "~1.2.3"
tilde-one = "~1"
star = "*"
wild = "1.2.*"
exact = "1.2.3"
range = ">= 1, <2"
compatible = "~=1.4"
table = { version = "^2", extras = ["fast", "small"], markers = "os_name == 'posix'", platform = "linux" }
old = { version = "^2.1rc1", python = "<3.11" }
left-out = { version = "^2", optional = true }
Local_One = { path = "../local", develop = true }
hosted = { git = "https://example.org/hosted.git", tag = "v1", subdirectory = "py" }
several = [{ version = "1.0", python = "<3.11" }, { version = "2.0", python = ">=3.11" }]
[tool.poetry.group.dev.dependencies]
for-tests = { path = "../tests" }
`, "poetry.lock": `
[[package]]
name = "caret"
version = "1.2.9"
[[package]]
name = "several"
version = "1.0"
[[package]]
name = "several"
version = "2.0"
[[package]]
name = "local-one"
version = "0.1"
[package.source]
type = "directory"
url = "../local"
`})
	for _, name := range []string{"../local", "../tests"} {
		if err := os.MkdirAll(filepath.Join(w.Dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	p, err := w.plan()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"caret>=1.2.3,<2", "caret-zeros>=0.0.3,<0.0.4", "caret-zero>=0.2.3,<0.3", "compatible~=1.4", "exact==1.2.3",
		`old>=2.1rc1,<3 ; python_full_version < "3.11"`, "range>=1,<2",
		`several==1.0 ; python_full_version < "3.11"`, `several==2.0 ; python_full_version >= "3.11"`, "star",
		`table[fast,small]>=2,<3 ; (os_name == 'posix') and sys_platform == "linux"`, "tilde>=1.2.3,<1.3", "tilde-one>=1,<2", "wild==1.2.*",
	}
	if !slices.Equal(p.requirements, want) {
		t.Errorf("requirements\n%q, want\n%q", p.requirements, want)
	}
	parent := fileURL(filepath.Dir(w.Dir))
	i := installer{workspace: w, plan: p}
	arguments := []string{"hosted @ git+https://example.org/hosted.git@v1#subdirectory=py", "--editable", parent + "/local"}
	if got := i.named(nil); !slices.Equal(got, arguments) {
		t.Errorf("named = %q, want %q", got, arguments)
	}
	guard := []string{"for-tests @ " + parent + "/tests", "local-one @ " + parent + "/local", arguments[0], "caret==1.2.9"}
	if got := p.guard(false); !slices.Equal(got, guard) {
		t.Errorf("guard\n%q, want\n%q", got, guard)
	}
	if !p.python.fits(asVersion("3.12.1")) || p.python.fits(asVersion("4.0")) {
		t.Errorf("Python %q fits other versions, want those of ^3.10", p.python.specifiers)
	}
}

// TestRequirementFiles reads files as installers do, and finds local packages.
func TestRequirementFiles(t *testing.T) {
	t.Parallel()
	w := inFiles(t, map[string]string{
		"requirements.txt":   "\ufeffrequests>=2 # with comments\r\n-r more/base.txt\r\n--constraint=limits.txt\n-e ./lib[fast]\n--editable file:///opt/x%23y\nodd @ file:///opt/odd ; python_version > '3'\n./wheels/a-1.whl\n# -r none.txt\nlong \\\n  ==1 \\\n --hash=sha256:00\n-i https://example.org/simple\n-r missing.txt\ngit+https://example.org/x.git\n",
		"more/base.txt":      "-r ../requirements.txt\nFlask_X[async]\n../up\n",
		"limits.txt":         "urllib3<2\n",
		"lib/pyproject.toml": "",
	})
	got, err := readRequirements(w.path("requirements.txt"))
	if err != nil {
		t.Fatal(err)
	}
	at := func(names ...string) (paths []string) {
		for _, name := range names {
			paths = append(paths, w.path(name))
		}
		return paths
	}
	if want := at("requirements.txt", "more/base.txt", "limits.txt"); !slices.Equal(got.files, want) {
		t.Errorf("files %q, want %q", got.files, want)
	}
	if want := slices.Concat(at("up", "lib"), []string{"/opt/x#y", "/opt/odd"}, at("wheels/a-1.whl")); !slices.Equal(got.locals, want) {
		t.Errorf("locals %q, want %q", got.locals, want)
	}
	for _, name := range []string{"requests", "flask-x", "urllib3", "odd", "long"} {
		if !slices.Contains(got.names, name) {
			t.Errorf("names are %q, want %s among them", got.names, name)
		}
	}
	if !got.hashed {
		t.Error("the hashes were not seen")
	}
}

// TestOnlyUV lists projects that another installer would install differently, and
// projects that no installer can install.
func TestOnlyUV(t *testing.T) {
	t.Parallel()
	const project = "[project]\nname = \"one\"\ndependencies = [\"lib\"]\n"
	for _, test := range []struct {
		name   string
		files  map[string]string
		wants  string // without uv
		always bool
	}{
		{"nothing", map[string]string{"pyproject.toml": project}, "", false},
		{"a lock", map[string]string{"pyproject.toml": project, "uv.lock": ""}, "only uv can follow ", false},
		{"an index of a package", map[string]string{"pyproject.toml": project + "[tool.uv.sources]\nlib = { index = \"inner\" }\n"}, `lib comes from the index "inner"`, false},
		{"several sources", map[string]string{"pyproject.toml": project + "[tool.uv.sources]\nlib = [{ path = \"a\", marker = \"x\" }]\n"}, "several sources for lib", false},
		{"no member", map[string]string{"pyproject.toml": project + "[tool.uv.sources]\nlib = { workspace = true }\n"}, "lib is a member of a uv workspace that is not found", false},
		{"an index", map[string]string{"pyproject.toml": project + "[[tool.uv.index]]\nurl = \"https://example.org\"\n"}, "[tool.uv] sets index", false},
		{"an index of uv pip", map[string]string{"pyproject.toml": project + "[tool.uv.pip]\nextra-index-url = [\"https://example.org\"]\n"}, "[tool.uv] sets extra-index-url", false},
		{"overrides", map[string]string{"pyproject.toml": project + "[tool.uv]\noverride-dependencies = [\"x<2\"]\n"}, "[tool.uv] sets override-dependencies", false},
		{"settings", map[string]string{"uv.toml": "index-url = \"https://example.org\"\n"}, "uv.toml sets index-url", false},
		{"a path that is not there", map[string]string{"pyproject.toml": project + "[tool.uv.sources]\nlib = { path = \"lib\" }\n"}, "the local package lib is not there", true},
		{"a source of Poetry", map[string]string{"pyproject.toml": "[tool.poetry.dependencies]\nlib = { version = \"1\", source = \"inner\" }\n"}, `the source "inner"`, true},
		{"all from a source of Poetry", map[string]string{"pyproject.toml": "[tool.poetry.dependencies]\nlib = \"1\"\n[[tool.poetry.source]]\nname = \"inner\"\nurl = \"https://example.org\"\n"}, `the source "inner"`, true},
		{"alternatives", map[string]string{"pyproject.toml": "[tool.poetry.dependencies]\nlib = \"^1 || ^2\"\n"}, "alternatives", true},
		{"an option", map[string]string{"pyproject.toml": "[project]\nname = \"one\"\ndependencies = [\"--index-url=https://example.org\"]\n"}, "does not begin with the name", true},
		{"an old Python", map[string]string{".python-version": "3.9\n"}, ".python-version asks for Python 3.9", true},
		{"older Pythons only", map[string]string{"pyproject.toml": "[project]\nname = \"one\"\nrequires-python = \"<3.10\"\n"}, "requires-python is <3.10", true},
		{"no specifier", map[string]string{"pyproject.toml": "[project]\nname = \"one\"\nrequires-python = \"3.10\"\n"}, "not a version", true},
		{"a contradiction", map[string]string{".python-version": "# ours\ncpython-3.11.2\n", "pyproject.toml": "[project]\nname = \"one\"\nrequires-python = \">=3.12\"\n"}, ".python-version asks for Python 3.11.2, and in pyproject.toml requires-python is >=3.12", true},
		{"local and hashed", map[string]string{"pyproject.toml": "[tool.uv.sources]\nlib = { path = \"lib\" }\n", "lib/pyproject.toml": "", "requirements.txt": "lib==1 --hash=sha256:00\n"}, "lib is a local package", true},
	} {
		p, err := inFiles(t, test.files).plan()
		if (err != nil) != test.always {
			t.Errorf("%s: plan = %v, want an error: %t", test.name, err, test.always)
			continue
		}
		if err == nil {
			err = p.checkUV()
		}
		var refused *Error
		switch {
		case test.wants == "" && err != nil:
			t.Errorf("%s: refused with %v, want it accepted", test.name, err)
		case test.wants != "" && (!errors.As(err, &refused) || !strings.Contains(err.Error(), test.wants) || refused.Hint() == ""):
			t.Errorf("%s: %v, want %q and a hint", test.name, err, test.wants)
		}
	}
}

// TestPythonOfWorkspace finds an interpreter by the settings of the workspace.
func TestPythonOfWorkspace(t *testing.T) {
	t.Parallel()
	newest, err := testenv.NewestPython()
	if err != nil {
		t.Fatal(err)
	}
	version := strings.TrimPrefix(filepath.Base(newest), "python")
	for _, files := range []map[string]string{
		{".python-version": version + "\n"},
		{"pyproject.toml": "[project]\nname = \"one\"\nrequires-python = \"==" + version + ".*\"\n"},
		{"pyproject.toml": "[tool.poetry.dependencies]\npython = \"~" + version + ".0\"\n"},
	} {
		if asVersion(version) == nil {
			break // its name has no version
		}
		p, err := inFiles(t, files).plan()
		if err != nil {
			t.Fatal(err)
		}
		if path, found, err := p.python.find(t.Context()); err != nil || !strings.HasPrefix(found, version+".") {
			t.Errorf("find for %v = %s, %s, %v, want %s", files, path, found, err, version)
		}
	}
	for text, wants := range map[string]string{"3.39": "3.39", "pypy3.10": `"pypy3.10"`, "our-env": `"our-env"`} {
		p, err := inFiles(t, map[string]string{".python-version": text + "\n"}).plan()
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := p.python.find(t.Context()); err == nil || !strings.Contains(err.Error(), wants) {
			t.Errorf("find for %s = %v, want an error that names it", text, err)
		}
	}
}
