//go:build unix

package workspace_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/testenv"
	"github.com/qhubctl/qhubctl/internal/workspace"
)

// backend builds a package of one module without anything from an index. Its
// name and its dependencies stand in pyproject.toml.
const backend = `
import os, pathlib, re, zipfile
text = pathlib.Path("pyproject.toml").read_text()
name = re.search(r'^name = "([\w-]+)"', text, re.M)[1]
found = re.search(r'^(?:dependencies|# dynamic) = \[(.*)\]', text, re.M)
requires = re.findall(r'"([^"]+)"', found[1]) if found else []
stem = name.replace("-", "_")
info = f"{stem}-1.6.dist-info"
metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.6\n" + "".join(f"Requires-Dist: {r}\n" for r in requires)

def prepare_metadata_for_build_wheel(directory, settings=None):
    os.mkdir(os.path.join(directory, info))
    pathlib.Path(directory, info, "METADATA").write_text(metadata)
    pathlib.Path(directory, info, "WHEEL").write_text("Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    return info

prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel

def build(directory, files):
    wheel = f"{stem}-1.6-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, wheel), "w") as z:
        for path, content in files.items():
            z.writestr(path, content)
        z.writestr(f"{info}/METADATA", metadata)
        z.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        z.writestr(f"{info}/RECORD", "")
    return wheel

def build_wheel(directory, settings=None, metadata_directory=None):
    return build(directory, {f"{stem}.py": pathlib.Path("code", f"{stem}.py").read_text()})

def build_editable(directory, settings=None, metadata_directory=None):
    return build(directory, {f"_{stem}.pth": os.path.abspath("code") + "\n"})
`

// localPackage writes a package of one module, which names its folder.
func localPackage(t *testing.T, dir, name, more string) {
	t.Helper()
	write(t, fmt.Sprintf("[project]\nname = %q\nversion = \"1.6\"\n%s\n[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n", name, more), dir, "pyproject.toml")
	write(t, backend, dir, "backend.py")
	write(t, "WHERE = 'local'\n", dir, "code", strings.ReplaceAll(name, "-", "_")+".py")
}

// installers puts pip's Python into PATH, and uv if wanted.
func installers(t *testing.T, uv bool) {
	t.Helper()
	python, err := testenv.PythonDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	path := python + ":/usr/bin:/bin"
	if uv {
		only, err := testenv.UV()
		if err != nil {
			t.Fatal(err)
		}
		path = only + ":" + path
	}
	cache, err := testenv.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", path)
	t.Setenv("PIP_CACHE_DIR", filepath.Join(cache, "pip"))
	t.Setenv("UV_CACHE_DIR", filepath.Join(cache, "uv-cache"))
	t.Setenv("UV_PYTHON_DOWNLOADS", "never")
}

type loggedSteps struct{ t *testing.T }

func (s loggedSteps) Step(what string) func(error) {
	s.t.Log(what)
	return func(error) {}
}

// prepare makes the environment of a workspace.
func prepare(t *testing.T, dir string) *workspace.Environment {
	t.Helper()
	env, err := open(t, dir).Prepare(t.Context(), loggedSteps{t})
	if err != nil {
		detail := ""
		if e, ok := errors.AsType[*workspace.Error](err); ok {
			detail = e.Detail + "\n" + e.Advice
		}
		t.Fatalf("Prepare(%s) = %v, want nil\n%s", dir, err, detail)
	}
	return env
}

// evaluated is the output of Python for an expression in an environment.
func evaluated(t *testing.T, env *workspace.Environment, expression string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), env.Python, "-c", "import sys, importlib.metadata as m\nprint("+expression+")").CombinedOutput()
	if err != nil {
		t.Errorf("%s = %v, want a value\n%s", expression, err, out)
	}
	return strings.TrimSpace(string(out))
}

// wantEvaluated checks the values of expressions in Python.
func wantEvaluated(t *testing.T, env *workspace.Environment, want map[string]string) {
	t.Helper()
	for expression, want := range want {
		if got := evaluated(t, env, expression); got != want {
			t.Errorf("%s = %q, want %q", expression, got, want)
		}
	}
}

func withInstallers(t *testing.T, test func(t *testing.T, name string)) {
	t.Helper()
	for _, name := range []string{"pip", "uv"} {
		t.Run(name, func(t *testing.T) {
			installers(t, name == "uv")
			test(t, name)
		})
	}
}

const iniconfigHash = "iniconfig==2.0.0 --hash=sha256:b6a85871a79d2e3b22d2d1b94ac2824226a63c6b741c88f7ae975f18b6778374\n"

// TestPrepareHashes prepares a workspace of an odd name with requirements that
// have hashes, in a file that another one includes, beside a pyproject.toml
// without a project.
func TestPrepareHashes(t *testing.T) {
	withInstallers(t, func(t *testing.T, name string) {
		dir := filepath.Join(t.TempDir(), "odd #1 %41 [x] ü?")
		write(t, "import iniconfig\ndef run(): ...\n", dir, "src", "program.py")
		write(t, "[tool.qhubctl]\nstart = \"warm\"\n[tool.ruff]\nline-length = 100\n", dir, "pyproject.toml")
		write(t, "# pinned\n-r pinned/all.txt\n", dir, "requirements.txt")
		write(t, iniconfigHash, dir, "pinned", "all.txt")
		env := prepare(t, dir)
		wantEvaluated(t, env, map[string]string{"m.version('iniconfig')": "2.0.0", "'+qhubctl.' in m.version('qhub-commons')": "True"})
		if want := "with " + name + " from requirements.txt; Python "; !strings.HasPrefix(env.Origin, want) || !strings.HasSuffix(env.Origin, ", the first one found") {
			t.Errorf("Origin = %q, want %q…", env.Origin, want)
		}
		if state, again := open(t, dir).EnvironmentState(); state != workspace.Ready || again.Origin != env.Origin {
			t.Errorf("EnvironmentState = %d, %q, want %d, %q", state, again.Origin, workspace.Ready, env.Origin)
		}
		write(t, "# iniconfig is gone\n", dir, "pinned", "all.txt")
		if state, _ := open(t, dir).EnvironmentState(); state != workspace.Stale {
			t.Errorf("EnvironmentState after a change of an included file = %d, want %d", state, workspace.Stale)
		}
		write(t, strings.ReplaceAll(iniconfigHash, "b6a858", "a6a858"), dir, "pinned", "all.txt")
		if name == "uv" { // pip is slow
			if _, err := open(t, dir).Prepare(t.Context(), loggedSteps{t}); err == nil {
				t.Error("Prepare took a package of another hash")
			}
		}
	})
}

// TestPrepareLocalPackages prepares a member of a uv workspace. The names of local
// packages are those of other packages in the index: iniconfig is a path,
// packaging a member that is needed by the former, pluggy a member that only a
// package of the index needs.
func TestPrepareLocalPackages(t *testing.T) {
	withInstallers(t, func(t *testing.T, name string) {
		root := t.TempDir()
		dir := filepath.Join(root, "services", "one")
		write(t, "[tool.uv.workspace]\nmembers = [\"libs/*\", \"services/*\"]\nexclude = [\"libs/other\"]\n[tool.uv.sources]\niniconfig = { path = \"path to/iniconfig\" }\n", root, "pyproject.toml")
		localPackage(t, filepath.Join(root, "path to", "iniconfig"), "iniconfig", "dependencies = [\"Packaging\"]\n[tool.uv.sources]\npackaging = { path = \"../../libs/packaging\", editable = true }\n")
		localPackage(t, filepath.Join(root, "libs", "packaging"), "packaging", "")
		localPackage(t, filepath.Join(root, "libs", "pluggy"), "pluggy", "")
		localPackage(t, filepath.Join(root, "libs", "lib-b"), "lib-b", "")
		write(t, "", root, "libs", "other", "notes")
		write(t, "def run(): ...\n", dir, "src", "program.py")
		write(t, `[project]
name = "one"
version = "1"
requires-python = ">=3.10"
dependencies = ["iniconfig", "lib_b"]
[tool.uv.sources]
lib-b = { workspace = true }
`, dir, "pyproject.toml")
		write(t, "pytest==8.3.3\n", dir, "requirements.txt")
		env := prepare(t, dir)
		wantEvaluated(t, env, map[string]string{
			"__import__('iniconfig').WHERE": "local", "__import__('packaging').WHERE": "local",
			"__import__('pluggy').WHERE": "local", "__import__('lib_b').WHERE": "local", "m.version('pytest')": "8.3.3",
		})
		write(t, "WHERE = 'changed'\n", root, "libs", "lib-b", "code", "lib_b.py")
		wantEvaluated(t, env, map[string]string{"__import__('lib_b').WHERE": "changed"})
		if want := "with " + name + " from pyproject.toml and requirements.txt; Python "; !strings.HasPrefix(env.Origin, want) || !strings.HasSuffix(env.Origin, ", requires-python is >=3.10") {
			t.Errorf("Origin = %q, want %q…", env.Origin, want)
		}
		if name == "uv" {
			wantLocked(t, root, dir)
		}
		if err := os.RemoveAll(filepath.Join(root, "path to")); err != nil {
			t.Fatal(err)
		}
		if err := open(t, dir).CheckPlan(); err == nil || !strings.Contains(err.Error(), "iniconfig is not there") {
			t.Errorf("CheckPlan without the local package = %v, want an error that names it", err)
		}
	})
}

// wantLocked follows the lock file of a uv workspace, from one of its members.
func wantLocked(t *testing.T, root, dir string) {
	t.Helper()
	lock := exec.CommandContext(t.Context(), "uv", "lock", "--quiet")
	lock.Dir = root
	if out, err := lock.CombinedOutput(); err != nil {
		t.Fatalf("uv lock = %v, want success\n%s", err, out)
	}
	env := prepare(t, dir)
	if !strings.HasPrefix(env.Origin, "with uv from uv.lock; ") {
		t.Errorf("Origin = %q, want one from uv.lock", env.Origin)
	}
	wantEvaluated(t, env, map[string]string{
		"__import__('iniconfig').WHERE": "local", "__import__('packaging').WHERE": "local", "'+qhubctl.' in m.version('qhub-commons')": "True",
		"any(d.name == 'pytest' for d in m.distributions())": "False", // of requirements.txt, which a lock file replaces
	})
}

// TestPreparePoetry prepares a Poetry project with a package that is used in place,
// in a folder whose name means something else in a URL.
func TestPreparePoetry(t *testing.T) {
	installers(t, true)
	root := filepath.Join(t.TempDir(), "root #2")
	dir := filepath.Join(root, "service")
	localPackage(t, filepath.Join(root, "pluggy #3"), "pluggy", "")
	write(t, "def run(): ...\n", dir, "src", "program.py")
	write(t, "[tool.poetry]\npackage-mode = false\n[tool.poetry.dependencies]\npython = \">=3.10,<4\"\niniconfig = \"^2.0\"\npluggy = { path = \"../pluggy #3\", develop = true }\n", dir, "pyproject.toml")
	write(t, "[[package]]\nname = \"iniconfig\"\nversion = \"2.0.0\"\n", dir, "poetry.lock")
	env := prepare(t, dir)
	wantEvaluated(t, env, map[string]string{"m.version('iniconfig')": "2.0.0", "__import__('pluggy').WHERE": "local"})
	if want := "with uv from pyproject.toml and poetry.lock; Python "; !strings.HasPrefix(env.Origin, want) || !strings.HasSuffix(env.Origin, "python is >=3.10,<4") {
		t.Errorf("Origin = %q, want %q…", env.Origin, want)
	}
}

// TestPrepareDynamic prepares a project whose build backend names its dependencies,
// with pip.
func TestPrepareDynamic(t *testing.T) {
	installers(t, false)
	dir := t.TempDir()
	localPackage(t, dir, "service", "# dynamic = [\"iniconfig==2.0.0\", \"missing-extra; extra == 'x'\"]\ndynamic = [\"dependencies\"]\n")
	write(t, "def run(): ...\n", dir, "src", "program.py")
	write(t, "", dir, "code", "service.py")
	wantEvaluated(t, prepare(t, dir), map[string]string{"m.version('iniconfig')": "2.0.0"})
}
