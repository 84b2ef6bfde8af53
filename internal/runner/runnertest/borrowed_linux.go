package runnertest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/qhubctl/qhubctl/internal/runner/process"
)

// SDKsVariable names a folder in which root has put the SDKs and the probe, for a test
// that an ordinary user runs.
const SDKsVariable = "QHUBCTL_TEST_SDKS"

// Packages is the folder with the packages of an interpreter's environment.
func Packages(t testing.TB, python process.Python) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(python.Interpreter)), "lib", "python3.*", "site-packages"))
	if err != nil || len(found) != 1 {
		t.Fatalf("the packages of an environment are in %q, %v, want one folder", found, err)
	}
	return found[0]
}

// CopySDKs puts the packages of our SDK and of the upstream one into a folder, as
// "ours" and "published", each below the name of its Python, and the probe.
func CopySDKs(t testing.TB, dir string) {
	t.Helper()
	for name, python := range map[string]process.Python{"ours": SDKPython(t), "published": PublishedPython(t)} {
		packages := Packages(t, python)
		if err := os.CopyFS(filepath.Join(dir, name, filepath.Base(filepath.Dir(packages))), os.DirFS(packages)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(dir, "probe"), os.DirFS(PythonProbe())); err != nil {
		t.Fatal(err)
	}
	// Without this, each process would compile them.
	_ = exec.CommandContext(t.Context(), "/usr/bin/python3", "-m", "compileall", "-q", dir).Run()
}
