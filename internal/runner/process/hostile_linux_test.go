package process_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/runner/runnertest"
	"github.com/qhubctl/qhubctl/internal/sandbox"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

// probeVariable names the probe that was built already.
const probeVariable = "QHUBCTL_TEST_PROBE"

func TestHostileBinary(t *testing.T) {
	probe := os.Getenv(probeVariable)
	if probe == "" {
		probe = runnertest.BinaryProbe(t)
	}
	attack(t, runnertest.Attack, t.TempDir(), process.Binary{Path: probe})
}

func TestHostilePlainBinary(t *testing.T) {
	attack(t, runnertest.AttackNeighbours, t.TempDir(), process.Binary{Path: runnertest.PlainProbe(t)})
}

func TestHostilePython(t *testing.T) {
	if os.Getenv(probeVariable) != "" {
		t.Skip("TestHostileBorrowedPython does it")
	}
	for name, program := range map[string]func(testing.TB) process.Python{
		"our SDK": runnertest.SDKPython, "upstream SDK": runnertest.PublishedPython,
	} {
		t.Run(name, func(t *testing.T) {
			by := runnertest.Attack
			if name == "upstream SDK" && !testenv.Everything() {
				t.Log("the other attacks are as those by our SDK, in the same sandbox; `make attack` has them")
				by = runnertest.AttackNeighbours
			}
			workspace := t.TempDir()
			if err := os.CopyFS(workspace, os.DirFS(runnertest.PythonProbe())); err != nil {
				t.Fatal(err)
			}
			python := program(t)
			environment := filepath.Dir(filepath.Dir(python.Interpreter))
			attack(t, by, workspace, python, environment)
		})
	}
}

// attack has the service attack its workspace, its environment, and the data of a
// platform beside them, in one of the ways.
func attack(t *testing.T, by func(*testing.T, runnertest.Target), workspace string, program process.Program, environment ...string) {
	t.Helper()
	data := t.TempDir()
	hidden := []string{
		data, filepath.Join(data, "master.key"), filepath.Join(data, "executions.db"), filepath.Join(workspace, ".env"),
	}
	for _, file := range hidden[1:] { // all may read them: their modes must not be what hides them
		if err := os.WriteFile(file, []byte("secret"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(data, 0o755); err != nil {
		t.Fatal(err)
	}
	machine := sandbox.Detect(sandbox.Options{})
	t.Cleanup(machine.Close)
	sb := &process.Sandbox{Machine: machine, Policy: sandbox.Policy{
		Hidden: []string{data}, Readable: environment, Limits: sandbox.Limits{Memory: 1 << 30, Processes: 256},
	}}
	env := base()
	if _, python := program.(process.Python); python && os.Getenv(probeVariable) != "" {
		env["PYTHONPATH"] = environment[0]
	}
	by(t, runnertest.Target{
		Machine: machine, Hidden: hidden, Locked: append([]string{workspace}, environment...),
		Open: func(_ *testing.T, network sandbox.Network) runner.Runner {
			sb := &process.Sandbox{Machine: machine, Policy: sb.Policy}
			sb.Policy.Network = network
			return &process.Runner{Program: program, Dir: workspace, Environment: env, Sandbox: sb}
		},
	})
}

// TestHostileAsOrdinaryUser runs the attacks again on a server without privileges. With
// the SDKs of Python it takes minutes, and runs only if all tests are requested.
func TestHostileAsOrdinaryUser(t *testing.T) {
	if testing.Short() {
		t.Skip("runs all attacks again")
	}
	user := testenv.NewOrdinaryUser(t)
	probe, sdks := filepath.Join(user.Home, "probe"), filepath.Join(user.Home, "SDKs")
	program, err := os.ReadFile(runnertest.BinaryProbe(t))
	if err == nil {
		err = errors.Join(os.WriteFile(probe, program, 0o755), os.Chmod(probe, 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	runnertest.CopySDKs(t, sdks)
	which := "^TestHostile(Binary|Layers)$"
	if testenv.Everything() {
		which = "^TestHostile(Binary|Layers|BorrowedPython)$"
	}
	text := user.Run(t, which, 14*time.Minute, probeVariable+"="+probe, runnertest.SDKsVariable+"="+sdks)
	if !strings.Contains(text, "--- PASS: TestHostileBinary/kill_-9_-1") {
		t.Errorf("no attack has passed, want kill -9 -1 among them:\n%s", text)
	}
	for line := range strings.Lines(text) {
		if strings.Contains(line, "not held") || strings.Contains(line, "needs") {
			t.Log("for an ordinary user: " + strings.TrimSpace(line))
		}
	}
	document(t, ordinaryOf(text))
}

// TestHostileBorrowedPython runs the attacks in Python with the interpreter of the system,
// because that of the tests may be another user's.
func TestHostileBorrowedPython(t *testing.T) {
	sdks := os.Getenv(runnertest.SDKsVariable)
	if sdks == "" {
		t.Skip("TestHostilePython does it")
	}
	for _, sdk := range []string{"ours", "published"} {
		t.Run(sdk, func(t *testing.T) {
			python, packages := borrowed(t, filepath.Join(sdks, sdk))
			launcher := filepath.Join(t.TempDir(), "launcher.py")
			if err := os.WriteFile(launcher, process.LauncherSource, 0o600); err != nil {
				t.Fatal(err)
			}
			attack(t, runnertest.Attack, filepath.Join(sdks, "probe"),
				process.Python{Interpreter: python, Entrypoint: "src.program:run", Launcher: launcher, Describer: launcher}, packages)
		})
	}
}

// borrowed finds an interpreter of the system for the packages of an SDK, which
// are for one version of Python.
func borrowed(t *testing.T, sdk string) (interpreter, packages string) {
	t.Helper()
	versions, err := os.ReadDir(sdk)
	if err != nil || len(versions) != 1 {
		t.Fatalf("the SDK has the versions %v (%v), want one", versions, err)
	}
	interpreter = filepath.Join("/usr/bin", versions[0].Name())
	if _, err := os.Stat(interpreter); err != nil {
		t.Skipf("needs a %s that this user can run: %v", versions[0].Name(), err)
	}
	return interpreter, filepath.Join(sdk, versions[0].Name())
}
