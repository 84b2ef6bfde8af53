//go:build linux

package forkserver_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/qhubctl/qhubctl/internal/runner/forkserver"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/runner/runnertest"
)

// packagesVariable names the packages that root has put where an ordinary user
// can read them: those of our SDK, for one version of Python.
const packagesVariable = "QHUBCTL_TEST_PACKAGES"

// borrow says how a service is run with our SDK: by the environment that tests
// make, or, for an ordinary user, by the interpreter of the system.
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
	if os.Geteuid() != 0 {
		t.Skip("this is an ordinary user")
	}
	if testing.Short() {
		t.Skip("runs tests again")
	}
	const uid = 4242                                  // which no machine has
	home, err := os.MkdirTemp("", "forkserver-user-") //nolint:usetesting // that one's folders are for root alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	python := runnertest.SDKPython(t)
	installed, err := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(python.Interpreter)), "lib", "python3.*", "site-packages"))
	if err != nil || len(installed) != 1 {
		t.Fatalf("the packages of the SDK lie in %q, %v, want one folder", installed, err)
	}
	version := filepath.Base(filepath.Dir(installed[0]))
	if _, err := os.Stat(filepath.Join("/usr/bin", version)); err != nil {
		t.Skipf("needs a %s that this user can run: %v", version, err)
	}
	packages, tests := filepath.Join(home, version), filepath.Join(home, "tests")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err := errors.Join(
		err, os.WriteFile(tests, program, 0o755),
		os.CopyFS(packages, os.DirFS(installed[0])),
		os.CopyFS(filepath.Join(home, "testdata"), os.DirFS("testdata")),
		os.Chmod(home, 0o755),
	); err != nil {
		t.Fatal(err)
	}
	if err := filepath.WalkDir(home, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, uid, uid))
	}); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), tests, "-test.v", "-test.timeout=5m", "-test.run=^Test(ForksAre|NothingIsLeftIn|Neighbour|HostileImport).*$")
	cmd.Dir, cmd.Env = home, []string{"HOME=" + home, "TMPDIR=" + home, "PATH=/usr/bin:/bin", packagesVariable + "=" + packages}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "does not") {
			t.Log("not held for an ordinary user: " + strings.TrimSpace(line))
		}
	}
	if !strings.Contains(string(text), "--- PASS: TestForksAreKeptApart") {
		t.Errorf("TestForksAreKeptApart has not passed:\n%s", text)
	}
}
