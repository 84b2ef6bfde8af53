package cli_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/qhubctl/qhubctl/internal/testenv"
)

// undeclared is a secret of the shell that no service here declares. Tests search
// what processes show for it, so they write it in pieces.
const undeclared = "canary-of" + "-the-shell"

// lookingProgram notes beside itself which processes show the canary, and what
// it gets of the process that started it, whenever it is imported or run.
const lookingProgram = `
import os
from glob import glob
from pathlib import Path

def look():
    canary = b"canary-of" + b"-the-shell"
    for path in glob("/proc/[0-9]*/environ"):
        try:
            found = canary in Path(path).read_bytes()
        except OSError:
            continue
        if found:
            note("shown by " + path)
    for name in ("environ", "mem", "maps", "fd"):
        try:
            path = f"/proc/{os.getppid()}/{name}"
            os.listdir(path) if name == "fd" else open(path, "rb").close()
            note("open " + name)
        except OSError:
            note("denied " + name)

def note(text):
    with open(Path(__file__).parent.parent / "seen", "a") as file:
        file.write(text + "\n")

look()

def run() -> str:
    look()
    return "looked"
`

// lookingScript is the same as a service that is built already, for a user who
// has no environment with an SDK.
const lookingScript = `#!/bin/sh
canary=canary-of; canary=$canary-the-shell
for file in /proc/[0-9]*/environ; do
  case $(tr '\0' '\n' < $file) in *$canary*) echo "shown by $file";; esac
done 2> /dev/null >> seen
for name in environ mem maps; do
  if ( : < /proc/$PPID/$name ) 2> /dev/null; then echo open $name; else echo denied $name; fi
done >> seen
if ls /proc/$PPID/fd/ > /dev/null 2>&1; then echo open fd; else echo denied fd; fi >> seen
case $1 in --describe) echo '{"schemaVersion": 1, "sdk": {"language": "sh", "name": "none", "version": "1"}, "entrypoint": "main",
  "parameters": [], "result": {}, "$defs": {}}';; esac
`

// TestServicesSeeNothingOfTheShell runs every command that runs code of a
// service, which finds the shell's variables in no process, as root too.
func TestServicesSeeNothingOfTheShell(t *testing.T) {
	python := sdkPython(t)
	for _, args := range [][]string{
		{"describe", "--python", python}, {"openapi", "--python", python}, {"doctor", "--python", python}, {"run", "-d", "{}", "--python", python},
	} {
		t.Run(args[0], func(t *testing.T) {
			dir := service(t, lookingProgram)
			c := programIn(t, dir, append(plainEnv(t), "SECRET_OTHER="+undeclared, "AWS_SESSION_TOKEN="+undeclared), args...)
			if out, err := c.CombinedOutput(); err != nil {
				t.Fatalf("qhubctl %s failed: %v\n%s", args[0], err, out)
			}
			wantHidden(t, filepath.Join(dir, "seen"), os.Geteuid() != 0)
		})
	}
	t.Run("serve", func(t *testing.T) {
		dir := service(t, lookingProgram)
		c := programIn(t, dir, append(plainEnv(t), "SECRET_OTHER="+undeclared), "serve", "--no-sandbox", "--port", "0", "--python", python)
		url := startServer(t, c)
		if out, errs, code := call(t, "executions", "start", "-d", "{}", "--wait", "--url", url); code != 0 {
			t.Fatalf("an execution ended with code %d\n%s%s", code, out, errs)
		}
		wantHidden(t, filepath.Join(dir, "seen"), os.Geteuid() != 0)
	})
}

// TestAnOrdinaryUsersServiceSeesNothingOfTheShell is the same where the service
// has the rights of qhubctl and no more.
func TestAnOrdinaryUsersServiceSeesNothingOfTheShell(t *testing.T) {
	const uid = 4242                           // no user has it
	home, err := os.MkdirTemp("", "cli-user-") //nolint:usetesting // the test's own folders are for its user alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"qhubctl": self, "service": []byte(lookingScript)} {
		if err := os.WriteFile(filepath.Join(home, name), content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.CommandContext(t.Context(), filepath.Join(home, "qhubctl"), "run", "-d", "{}", "service")
	c.Dir, c.Env = home, []string{"PATH=/usr/bin:/bin", "HOME=" + home, "TMPDIR=" + home, "SECRET_OTHER=" + undeclared}
	if os.Geteuid() == 0 {
		if err := os.Chown(home, uid, uid); err != nil {
			t.Fatal(err)
		}
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	if err := os.Chmod(home, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("qhubctl run failed: %v\n%s", err, out)
	}
	wantHidden(t, filepath.Join(home, "seen"), true)
}

// wantHidden checks what a service has noted. The files of the process that
// started it are denied only where it is not root's.
func wantHidden(t *testing.T, path string, denied bool) {
	t.Helper()
	seen, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(seen, []byte("shown by")) {
		t.Errorf("the service found the variables of the shell:\n%s", seen)
	}
	if want := "denied environ\ndenied mem\ndenied maps\ndenied fd\n"; denied && !strings.HasPrefix(string(seen), want) {
		t.Errorf("the service noted of its parent\n%s, want\n%s", seen, want)
	}
	if !bytes.Contains(seen, []byte(" environ")) {
		t.Error("the service did not look")
	}
}

// startServer starts a server, which the test ends, and returns its address.
func startServer(t *testing.T, c *exec.Cmd) (url string) {
	t.Helper()
	var said testenv.Buffer
	c.Stderr = &said
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = patience
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Signal(os.Interrupt)
		_ = c.Wait()
		if t.Failed() {
			t.Logf("the server said:\n%s", said.String())
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the server did not start: %v", err)
	}
	return strings.TrimSpace(line)
}

// buildBackend builds a package, and notes the environment that it finds.
const buildBackend = `
import os, zipfile

open(os.environ["NOTES"] + "/backend", "a").write("".join(f"{name}={value!r}\n" for name, value in os.environ.items()))

def build_wheel(directory, config_settings=None, metadata_directory=None):
    name = "noting-1-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, name), "w") as wheel:
        wheel.writestr("noting.py", "")
        wheel.writestr("noting-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: noting\nVersion: 1\n")
        wheel.writestr("noting-1.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: none\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("noting-1.dist-info/RECORD", "")
    return name
`

// needsBuilding is a service that needs a package which is built when it is
// installed, by a backend that needs nothing.
func needsBuilding(t *testing.T) string {
	t.Helper()
	dir := service(t, "def run() -> str: return 'built'\n")
	for path, text := range map[string]string{
		"noting/pyproject.toml": "[project]\nname = \"noting\"\nversion = \"1\"\n" +
			"[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n",
		"noting/backend.py": buildBackend,
		"pyproject.toml":    fmt.Sprintf("[project]\nname = \"service\"\nversion = \"1\"\ndependencies = [\"noting @ file://%s/noting\"]\n", dir),
		".env":              "SECRET_X=of-the-file\n",
	} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// secretVariables all carry a secret: by their names, or because the commands
// below name them.
var secretVariables = []string{"SECRET_X", "QHUBCTL_TOKEN", "QHUBCTL_MASTER_KEY", "NAMED_TOKEN"}

// noting is an environment with secrets in which the programs that qhubctl starts
// note what they are given before they do their work.
func noting(t *testing.T, uv bool) (env []string, notes string) {
	t.Helper()
	notes, bin := t.TempDir(), t.TempDir()
	path := pythonFolder(t) + string(filepath.ListSeparator) + os.Getenv("PATH")
	programs := map[string]string{"python3": filepath.Join(pythonFolder(t), "python3")}
	if uv {
		programs["uv"] = filepath.Join(need(t, testenv.UV), "uv")
	}
	for _, name := range []string{"go", "git", "cat"} {
		program, err := exec.LookPath(name)
		if err != nil {
			continue // a missing program is not started
		}
		programs[name] = program
	}
	for name, program := range programs {
		wrapper := fmt.Sprintf("#!/bin/sh\n/usr/bin/env >> '%s/%s'\nexec '%s' \"$@\"\n", notes, name, program)
		if err := os.WriteFile(filepath.Join(bin, name), []byte(wrapper), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	env = slices.DeleteFunc(installerEnv(t), func(entry string) bool { return strings.HasPrefix(entry, "PATH=") })
	env = append(env, "PATH="+bin+string(filepath.ListSeparator)+path, "NOTES="+notes, "NETRC=/of/the/user", "UV_HTTP_TIMEOUT=77")
	for _, name := range secretVariables {
		env = append(env, name+"=a-value-that-is-long-enough")
	}
	return env, notes
}

// wantNoted checks that these programs were started, and what they were given.
func wantNoted(t *testing.T, notes string, programs ...string) {
	t.Helper()
	for _, program := range programs {
		given, err := os.ReadFile(filepath.Join(notes, program))
		if err != nil {
			t.Errorf("%s was not started: %v", program, err)
			continue
		}
		for _, name := range secretVariables {
			if strings.Contains("\n"+string(given), "\n"+name+"=") {
				t.Errorf("%s was given the variable %s", program, name)
			}
		}
		for _, name := range []string{"NETRC", "UV_HTTP_TIMEOUT"} {
			if !strings.Contains("\n"+string(given), "\n"+name+"=") {
				t.Errorf("%s was not given the variable %s", program, name)
			}
		}
	}
}

// TestProgramsThatPrepareSeeNoSecrets installs, builds, describes, checks and
// serves: of all programs that take part, none is given a variable that carries
// a secret.
func TestProgramsThatPrepareSeeNoSecrets(t *testing.T) {
	t.Run("run with pip", func(t *testing.T) {
		env, notes := noting(t, false)
		env = append(env, "PATH="+filepath.Dir(pathOf(t, env, "python3"))+":/usr/bin:/bin")
		c := programIn(t, withSecret(t, needsBuilding(t)), env, "run", "-d", "{}", "--secret", "token=env:NAMED_TOKEN")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("qhubctl run failed: %v\n%s", err, out)
		}
		wantNoted(t, notes, "python3", "backend")
	})
	t.Run("run with uv", func(t *testing.T) {
		env, notes := noting(t, true)
		c := programIn(t, withSecret(t, needsBuilding(t)), env, "run", "-d", "{}", "--secret", "token=env:NAMED_TOKEN")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("qhubctl run failed: %v\n%s", err, out)
		}
		wantNoted(t, notes, "uv", "backend")
	})
	t.Run("serve", func(t *testing.T) {
		env, notes := noting(t, true)
		key := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(key, []byte("1:"+strings.Repeat("A", 43)+"=\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		startServer(t, programIn(t, needsBuilding(t), env, "serve", "--port", "0", "--auth=env:NAMED_TOKEN", "--master-key", "command:cat "+key))
		wantNoted(t, notes, "uv", "backend", "cat")
	})
	t.Run("doctor", func(t *testing.T) {
		env, notes := noting(t, true)
		dir := needsBuilding(t)
		if out, err := exec.CommandContext(t.Context(), "git", "init", "--quiet", dir).CombinedOutput(); err != nil {
			t.Fatalf("git init failed: %v\n%s", err, out)
		}
		env = slices.DeleteFunc(env, func(entry string) bool { return strings.HasPrefix(entry, "NAMED_TOKEN=") }) // no option of doctor names it
		_ = programIn(t, dir, env, "doctor").Run()                                                                // it finds that .env is not ignored
		wantNoted(t, notes, "python3", "git")
	})
	t.Run("a service in Go", func(t *testing.T) {
		env, notes := noting(t, false)
		env = append(env, "GOCACHE="+goCache(t), "GOFLAGS=-mod=mod")
		dir := t.TempDir()
		if out, err := programIn(t, dir, env, "init", "service", "--lang", "go").CombinedOutput(); err != nil {
			t.Fatalf("qhubctl init failed: %v\n%s", err, out)
		}
		c := programIn(t, filepath.Join(dir, "service"), env, "run", "--secret", "api_token=env:NAMED_TOKEN")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("qhubctl run failed: %v\n%s", err, out)
		}
		wantNoted(t, notes, "go")
	})
}

// withSecret has the service in dir take a secret.
func withSecret(t *testing.T, dir string) string {
	t.Helper()
	program := "from qhub.commons.secret import SecretValue\n\ndef run(token: SecretValue) -> int: return len(token.unwrap())\n"
	if err := os.WriteFile(filepath.Join(dir, "src", "program.py"), []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// pathOf is where an environment finds a program.
func pathOf(t *testing.T, env []string, name string) string {
	t.Helper()
	for _, entry := range slices.Backward(env) {
		list, ok := strings.CutPrefix(entry, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range filepath.SplitList(list) {
			if path := filepath.Join(dir, name); exec.Command(path, "--version").Run() == nil {
				return path
			}
		}
	}
	t.Fatalf("there is no %s", name)
	return ""
}

// goCache is the build cache of the user.
func goCache(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
