package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/testenv"
)

// inPlace is a build backend whose packages are used in place.
const inPlace = `
import os, zipfile

def get_requires_for_build_editable(settings=None):
    return []

def build_editable(directory, settings=None, metadata_directory=None):
    name = "lib_x-1-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, name), "w") as wheel:
        wheel.writestr("lib_x.pth", os.path.abspath("code") + "\n")
        wheel.writestr("lib_x-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: lib-x\nVersion: 1\n")
        wheel.writestr("lib_x-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("lib_x-1.dist-info/RECORD", "")
    return name
`

const linkedProgram = `
import os
from pathlib import Path
import lib_x
from src.helper import NAME
from src.data import NUMBER

def run() -> list:
    beside = Path(lib_x.__file__).parent / ".env"
    return [lib_x.WHERE, NAME, NUMBER, beside.exists(), Path("src").is_symlink()]
`

// TestServeLinkedCode serves a member of a uv workspace that uses another member in
// place, and whose src is a link to a folder outside, in which a file is one too.
func TestServeLinkedCode(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"pyproject.toml": "[tool.uv.workspace]\nmembers = [\"svc\", \"lib\"]\n",
		"svc/pyproject.toml": "[project]\nname = \"linked\"\nversion = \"1\"\nrequires-python = \">=3.10\"\ndependencies = [\"lib-x\"]\n" +
			"[tool.uv.sources]\nlib-x = { workspace = true }\n",
		"lib/pyproject.toml": "[project]\nname = \"lib-x\"\nversion = \"1\"\n[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n",
		"lib/backend.py":     inPlace,
		"lib/code/lib_x.py":  "WHERE = 'in place'\n",
		"lib/code/.env":      "SECRET_OF_LIB=1\n",
		"code/program.py":    linkedProgram,
		"code/helper.py":     "NAME = 'helper'\n",
		"more/data.py":       "NUMBER = 1\n",
	} {
		put(t, filepath.Join(root, name), text)
	}
	dir := filepath.Join(root, "svc")
	for link, target := range map[string]string{filepath.Join(dir, "src"): "../code", filepath.Join(root, "code", "data.py"): filepath.Join(root, "more", "data.py")} {
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", need(t, testenv.UV)+":"+pythonFolder(t)+":"+os.Getenv("PATH"))
	t.Setenv("UV_PYTHON_DOWNLOADS", "never")
	s := serveAny(t, dir)
	returns := func(want string) {
		t.Helper()
		out, errs, code := s.qhubctl("executions", "start", "--wait", "-d", "{}")
		if got := strings.Join(strings.Fields(out), " "); code != 0 || got != want {
			t.Errorf("the service returned %s (exit code %d), want %s\n%s\n%s", got, code, want, errs, s.said)
		}
	}
	returns(`[ "in place", "helper", 1, false, true ]`)
	for i, change := range [][2]string{
		{"lib/code/lib_x.py", "WHERE = 'changed'\n"}, {"code/helper.py", "NAME = 'changed'\n"}, {"more/data.py", "NUMBER = 2\n"},
	} {
		put(t, filepath.Join(root, change[0]), change[1])
		until(t, strings.Repeat("reloaded linked\n", i+1), func() string {
			return strings.Repeat("reloaded linked\n", strings.Count(s.said.String(), "reloaded linked"))
		})
	}
	returns(`[ "changed", "changed", 2, false, true ]`)
	out, errs, code := call(t, "describe", dir)
	if want := "Environment: " + filepath.Join(dir, ".venv") + ", made by qhubctl: with uv from pyproject.toml; Python "; code != 0 || !strings.Contains(out, want) {
		t.Errorf("describe says %s (exit code %d), want %q\n%s", out, code, want, errs)
	}
}
