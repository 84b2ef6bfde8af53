//go:build linux

package forkserver_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/runner/forkserver"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/runner/runnertest"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

// packagesVariable names the packages of our SDK, for one version of Python, which root
// has put into a place that an ordinary user can read.
const packagesVariable = "QHUBCTL_TEST_PACKAGES"

// borrow adapts a service to our SDK: by the environment that tests make, or, for an
// ordinary user, by the interpreter of the system.
func borrow(t testing.TB, o *forkserver.Options) {
	t.Helper()
	packages := os.Getenv(packagesVariable)
	if packages == "" {
		o.Python = complete(t, runnertest.SDKPython(t))
		return
	}
	launcher := filepath.Join(t.TempDir(), "launcher.py")
	if err := os.WriteFile(launcher, process.LauncherSource, 0o644); err != nil {
		t.Fatal(err)
	}
	o.Python = complete(t, process.Python{
		Interpreter: filepath.Join("/usr/bin", filepath.Base(packages)), Entrypoint: "src.program:run", Launcher: launcher, Describer: launcher,
	})
	o.Environment["PYTHONPATH"] = packages
	if o.Sandbox != nil {
		o.Sandbox.Policy.Readable = append(slices.Clip(o.Sandbox.Policy.Readable), packages)
	}
}

// TestAsOrdinaryUser runs the tests about the separation of forks again as a
// user without privileges.
func TestAsOrdinaryUser(t *testing.T) {
	if testing.Short() {
		t.Skip("runs tests again")
	}
	user := testenv.NewOrdinaryUser(t)
	installed := runnertest.Packages(t, runnertest.SDKPython(t))
	version := filepath.Base(filepath.Dir(installed))
	if _, err := os.Stat(filepath.Join("/usr/bin", version)); err != nil {
		t.Skipf("needs a %s that this user can run: %v", version, err)
	}
	packages := filepath.Join(user.Home, version)
	if err := errors.Join(
		os.CopyFS(packages, os.DirFS(installed)),
		os.CopyFS(filepath.Join(user.Home, "testdata"), os.DirFS("testdata")),
	); err != nil {
		t.Fatal(err)
	}
	text := user.Run(t, "^Test(ForksAre|NothingIsLeftIn|Neighbour|HostileImport).*$", 5*time.Minute, packagesVariable+"="+packages)
	for line := range strings.Lines(text) {
		if strings.Contains(line, "does not") {
			t.Log("not held for an ordinary user: " + strings.TrimSpace(line))
		}
	}
	if !strings.Contains(text, "--- PASS: TestForksAreKeptApart") {
		t.Errorf("TestForksAreKeptApart has not passed, want it among the tests:\n%s", text)
	}
}
