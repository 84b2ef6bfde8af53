package process_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/runner/runnertest"
	"github.com/qhubctl/qhubctl/internal/sandbox"
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
			if name == "upstream SDK" && os.Getenv(everything) == "" {
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

// attack lets the service in a workspace attack, in one of the ways, it, its environment, and the
// data of a platform beside them.
func attack(t *testing.T, by func(*testing.T, runnertest.Target), workspace string, program process.Program, environment ...string) {
	t.Helper()
	data := t.TempDir()
	hidden := []string{
		data, filepath.Join(data, "master.key"), filepath.Join(data, "executions.db"), filepath.Join(workspace, ".env"),
	}
	for _, file := range hidden[1:] { // not their modes are to hide them
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

// nobody is a user that no machine has.
const nobody = 4242

// everything has an ordinary user attacked by the SDKs of Python too, which
// takes minutes: `make attack` sets it.
const everything = "QHUBCTL_TEST_EVERYTHING"

// TestHostileAsOrdinaryUser is attacked again as a server without privileges.
func TestHostileAsOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("this is an ordinary user")
	}
	if testing.Short() {
		t.Skip("runs all attacks again")
	}
	home, err := os.MkdirTemp("", "hostile-user-") //nolint:usetesting // that one's folders are for root alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	tests, probe := filepath.Join(home, "tests"), filepath.Join(home, "probe")
	sdks := filepath.Join(home, "SDKs")
	for target, source := range map[string]string{tests: self, probe: runnertest.BinaryProbe(t)} {
		program, err := os.ReadFile(source)
		if err == nil {
			err = os.WriteFile(target, program, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, python := range map[string]process.Python{"ours": runnertest.SDKPython(t), "published": runnertest.PublishedPython(t)} {
		installed, err := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(python.Interpreter)), "lib", "python3.*", "site-packages"))
		if err != nil || len(installed) != 1 {
			t.Fatalf("%q, %v", installed, err)
		}
		if err := os.CopyFS(filepath.Join(sdks, name, filepath.Base(filepath.Dir(installed[0]))), os.DirFS(installed[0])); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(sdks, "probe"), os.DirFS(runnertest.PythonProbe())); err != nil {
		t.Fatal(err)
	}
	// Else they are compiled anew for each execution.
	_ = exec.CommandContext(t.Context(), "/usr/bin/python3", "-m", "compileall", "-q", sdks).Run()
	if err := errors.Join(os.Chmod(home, 0o755), os.Chmod(tests, 0o755), os.Chmod(probe, 0o755), giveTo(home, nobody)); err != nil {
		t.Fatal(err)
	}
	which := "^TestHostile(Binary|Layers)$"
	if os.Getenv(everything) != "" {
		which = "^TestHostile(Binary|Layers|BorrowedPython)$"
	}
	cmd := exec.CommandContext(t.Context(), tests, "-test.v", "-test.timeout=14m", "-test.run="+which)
	cmd.Dir = home
	cmd.Env = []string{
		"HOME=" + home, "TMPDIR=" + home, "PATH=/usr/bin:/bin",
		probeVariable + "=" + probe, sdksVariable + "=" + sdks,
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if !strings.Contains(string(text), "--- PASS: TestHostileBinary/kill_-9_-1") {
		t.Errorf("nothing was attacked:\n%s", text)
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "not held") || strings.Contains(line, "needs") {
			t.Log("for an ordinary user: " + strings.TrimSpace(line))
		}
	}
	document(t, ordinaryOf(string(text)))
}

func giveTo(dir string, uid int) error {
	return filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, uid)
	})
}

// sdksVariable names the folder in which root has put the SDKs and the probe
// in Python.
const sdksVariable = "QHUBCTL_TEST_KITS"

// TestHostileBorrowedPython is attacked in Python where the interpreter of the
// system must do, as that of the tests may be another user's.
func TestHostileBorrowedPython(t *testing.T) {
	sdks := os.Getenv(sdksVariable)
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
		t.Fatalf("%v, %v", versions, err)
	}
	interpreter = filepath.Join("/usr/bin", versions[0].Name())
	if _, err := os.Stat(interpreter); err != nil {
		t.Skipf("needs a %s that this user can run: %v", versions[0].Name(), err)
	}
	return interpreter, filepath.Join(sdk, versions[0].Name())
}
