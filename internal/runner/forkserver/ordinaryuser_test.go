//go:build linux

package forkserver_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/runner/runnertest"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

// TestHostileAsOrdinaryUser attacks neighbouring forks of a server that is not root, so
// that all of them have one user.
func TestHostileAsOrdinaryUser(t *testing.T) {
	testenv.NeedEverything(t)
	user := testenv.NewOrdinaryUser(t)
	sdks := filepath.Join(user.Home, "SDKs")
	runnertest.CopySDKs(t, sdks)
	// Greedy attacks are left out: without cgroups, forks of one service share the limit of
	// processes.
	text := user.Run(t, "^TestHostileBorrowedPython$/./^neighbours_at_work$", 10*time.Minute, runnertest.SDKsVariable+"="+sdks)
	for line := range strings.Lines(text) {
		if strings.Contains(line, "not held") || strings.Contains(line, "needs") || strings.Contains(line, "not kept apart") {
			t.Log("for an ordinary user: " + strings.TrimSpace(line))
		}
	}
}

// TestHostileBorrowedPython runs with the interpreter of the system, because that of
// the other tests may be another user's.
func TestHostileBorrowedPython(t *testing.T) {
	sdks := os.Getenv(runnertest.SDKsVariable)
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
