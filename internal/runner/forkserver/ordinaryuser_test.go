//go:build linux

package forkserver_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/runner/runnertest"
)

// sdksVariable names a folder in which root has put the packages of the SDKs and
// the probe, for a test that runs as an ordinary user.
const sdksVariable = "QHUBCTL_TEST_SDKS"

// outsider is a user that no machine has.
const outsider = 4242

// TestHostileAsOrdinaryUser attacks forks beside each other where the server is
// not root, and all of them are one user.
func TestHostileAsOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("this is an ordinary user")
	}
	inEverything(t)
	home, err := os.MkdirTemp("", "hostile-user-") //nolint:usetesting // that one's folders are for root alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	tests, sdks := filepath.Join(home, "tests"), filepath.Join(home, "SDKs")
	for name, python := range map[string]process.Python{"ours": runnertest.SDKPython(t), "published": runnertest.PublishedPython(t)} {
		installed, err := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(python.Interpreter)), "lib", "python3.*", "site-packages"))
		if err != nil || len(installed) != 1 {
			t.Fatalf("the packages of an environment are in %q, %v, want one folder", installed, err)
		}
		if err := os.CopyFS(filepath.Join(sdks, name, filepath.Base(filepath.Dir(installed[0]))), os.DirFS(installed[0])); err != nil {
			t.Fatal(err)
		}
	}
	err = errors.Join(
		os.WriteFile(tests, program, 0o755), os.CopyFS(filepath.Join(sdks, "probe"), os.DirFS(runnertest.PythonProbe())), os.Chmod(home, 0o755),
		filepath.WalkDir(home, func(path string, _ os.DirEntry, err error) error {
			return errors.Join(err, os.Lchown(path, outsider, outsider))
		}),
	)
	if err != nil {
		t.Fatal(err)
	}
	// Else they are compiled for each zygote.
	_ = exec.CommandContext(t.Context(), "/usr/bin/python3", "-m", "compileall", "-q", sdks).Run()
	// Not by greedy ones: without cgroups, forks of one service share the limit of
	// processes.
	cmd := exec.CommandContext(t.Context(), tests, "-test.v", "-test.timeout=10m", "-test.run=^TestHostileBorrowedPython$/./^neighbours_at_work$")
	cmd.Dir = home
	cmd.Env = []string{"HOME=" + home, "TMPDIR=" + home, "PATH=/usr/bin:/bin", sdksVariable + "=" + sdks}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: outsider, Gid: outsider}}
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("the attacks by an ordinary user: %v\n%s", err, text)
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "not held") || strings.Contains(line, "needs") || strings.Contains(line, "not kept apart") {
			t.Log("for an ordinary user: " + strings.TrimSpace(line))
		}
	}
}

// TestHostileBorrowedPython runs with the interpreter of the system, as that of
// the other tests may be another user's.
func TestHostileBorrowedPython(t *testing.T) {
	sdks := os.Getenv(sdksVariable)
	if sdks == "" {
		t.Skip("TestHostileAsOrdinaryUser does it")
	}
	if err := machine().RequireForks(); err != nil {
		t.Skip("an ordinary user's forks are not kept apart here, and start cold: ", err)
	}
	for _, sdk := range []string{"ours", "published"} {
		t.Run(sdk, func(t *testing.T) {
			versions, err := os.ReadDir(filepath.Join(sdks, sdk))
			if err != nil || len(versions) != 1 {
				t.Fatalf("the packages are for %v, %v, want one version", versions, err)
			}
			python := process.Python{
				Interpreter: filepath.Join("/usr/bin", versions[0].Name()), Entrypoint: "src.program:run",
				Launcher: filepath.Join(t.TempDir(), "launcher.py"), Describer: filepath.Join(t.TempDir(), "describe.py"),
			}
			if _, err := os.Stat(python.Interpreter); err != nil {
				t.Skipf("needs a %s that this user can run: %v", versions[0].Name(), err)
			}
			err = errors.Join(os.WriteFile(python.Launcher, process.LauncherSource, 0o600), os.WriteFile(python.Describer, nil, 0o600))
			if err != nil {
				t.Fatal(err)
			}
			packages := filepath.Join(sdks, sdk, versions[0].Name())
			attacked(t, runnertest.AttackNeighbours, complete(t, python), packages, map[string]string{"PYTHONPATH": packages})
		})
	}
}
