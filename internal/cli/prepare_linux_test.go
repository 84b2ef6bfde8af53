package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/lockedfile"
	"golang.org/x/sys/unix"

	"github.com/qhubctl/qhubctl/internal/testenv"
)

// installerEnv is plainEnv with uv in PATH and the installers' own settings.
func installerEnv(t *testing.T) []string {
	t.Helper()
	env := append(plainEnv(t), "UV_PYTHON_DOWNLOADS=never")
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if isInstallers(name) {
			env = append(env, entry)
		}
	}
	cache, err := testenv.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	env = append(env, "PIP_CACHE_DIR="+filepath.Join(cache, "pip"), "UV_CACHE_DIR="+filepath.Join(cache, "uv-cache"))
	path := strings.Join([]string{need(t, testenv.UV), pythonFolder(t), os.Getenv("PATH")}, string(filepath.ListSeparator))
	return append(env, "PATH="+path)
}

func programIn(t *testing.T, dir string, env []string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), "qhubctl", args...)
	c.Dir, c.Env = dir, env
	return c
}

// Several at once in one workspace: one makes the environment, the others wait.
func TestConcurrentRunsPrepareOnce(t *testing.T) {
	t.Parallel()
	dir, env := service(t, "def run(): return 'fine'\n"), installerEnv(t)
	logs := make([]testenv.Buffer, 4)
	var wait sync.WaitGroup
	for i := range logs {
		wait.Go(func() {
			c := programIn(t, dir, env, "run", "-d", "{}")
			c.Stderr = &logs[i]
			if out, err := c.Output(); err != nil || string(out) != "\"fine\"\n" {
				t.Errorf("%v, %q\n%s", err, out, logs[i].String())
			}
		})
	}
	wait.Wait()
	made := 0
	for i := range logs {
		made += strings.Count(logs[i].String(), "Making .venv with uv ...")
	}
	if made != 1 {
		t.Errorf("the environment was made %d times, want once", made)
	}
}

// Ctrl-C stops a qhubctl that waits for another one.
func TestInterruptWhileWaiting(t *testing.T) {
	t.Parallel()
	dir, env := service(t, "def run(): ...\n"), plainEnv(t)
	if err := os.Mkdir(filepath.Join(dir, ".qhub"), 0o700); err != nil {
		t.Fatal(err)
	}
	unlock, err := lockedfile.MutexAt(filepath.Join(dir, ".qhub", "lock")).Lock()
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	term := onTerminal(t, dir, env, "run", "-d", "{}")
	term.await(t, "Waiting for another qhubctl")
	term.enter(t, "\x03")
	term.awaitEnd(t, 130)
}

// Ctrl-C while packages are installed ends the installer. The next run does not use
// the unfinished environment.
func TestInterruptWhileInstalling(t *testing.T) {
	t.Parallel()
	dir := service(t, "def run(): return 'fine'\n")
	bin := t.TempDir()
	slow := "#!/bin/sh\nmkdir -p .venv/bin\ntouch .venv/pyvenv.cfg .venv/bin/python\nexec sleep 600\n"
	if err := os.WriteFile(filepath.Join(bin, "uv"), []byte(slow), 0o700); err != nil {
		t.Fatal(err)
	}
	env := append(installerEnv(t), "PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
	term := onTerminal(t, dir, env, "run", "-d", "{}")
	term.await(t, "Making .venv with uv")
	term.enter(t, "\x03")
	term.awaitEnd(t, 130)
	c := programIn(t, dir, installerEnv(t), "run", "-d", "{}")
	if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "Making .venv") {
		t.Errorf("%v\n%s", err, out)
	}
}

// smallDisk is a folder with room for a megabyte.
func smallDisk(t *testing.T) string {
	t.Helper()
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=1m,mode=0700"); err != nil {
		t.Skipf("no small disk can be made here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return disk
}

// fill leaves no room on a disk.
func fill(t *testing.T, disk string) {
	t.Helper()
	f, err := os.Create(filepath.Join(disk, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(block)
	}
	if closed := f.Close(); closed != nil {
		t.Fatal(closed)
	}
}

// A full disk ends in an error that says so, wherever it is full.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	const writes = `
from qhub.commons.runtime.output import write_binary_output

def run(size: int):
    write_binary_output("big.bin", b"\x00\xff" * size)
    return "x" * size
`
	big := `{"size": 2000000}`
	for _, test := range []struct {
		name  string
		run   func(t *testing.T, disk string) *exec.Cmd
		code  int
		wants string
	}{
		{"scratch space", func(t *testing.T, disk string) *exec.Cmd {
			return programIn(t, service(t, writes), append(plainEnv(t), "TMPDIR="+disk), "run", "--python", sdkPython(t), "-d", big)
		}, 1, "No space left on device"},
		{"no room for a scratch folder", func(t *testing.T, disk string) *exec.Cmd {
			fill(t, disk)
			return programIn(t, service(t, writes), append(plainEnv(t), "TMPDIR="+disk), "run", "--python", sdkPython(t), "-d", "@"+bigBody(t))
		}, 2, "cannot write the input size: "},
		{"result files", func(t *testing.T, disk string) *exec.Cmd {
			return programIn(t, service(t, writes), plainEnv(t), "run", "--python", sdkPython(t), "-d", big, "--output-dir", filepath.Join(disk, "out"))
		}, 1, "cannot write the result file big.bin: "},
		{"cache", func(t *testing.T, disk string) *exec.Cmd {
			fill(t, disk)
			return programIn(t, service(t, writes), append(plainEnv(t), "XDG_CACHE_HOME="+disk), "run", "--python", sdkPython(t), "-d", big)
		}, 2, "no space left on device"},
		{"environment", func(t *testing.T, disk string) *exec.Cmd {
			copyService(t, disk, writes)
			return programIn(t, disk, installerEnv(t), "run", "-d", big)
		}, 2, "the disk is full: free some space"},
		{"new service", func(t *testing.T, disk string) *exec.Cmd {
			fill(t, disk)
			return programIn(t, disk, plainEnv(t), "init", "new")
		}, 2, "cannot write the new service: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := test.run(t, smallDisk(t))
			out, err := c.CombinedOutput()
			if c.ProcessState == nil {
				t.Fatal(err)
			}
			if code := c.ProcessState.ExitCode(); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if !strings.Contains(string(out), test.wants) || !strings.Contains(string(out), "error: ") || crash.Match(out) && test.code == 2 {
				t.Errorf("%.3000s", out)
			}
		})
	}
}

func bigBody(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "body.json")
	if err := os.WriteFile(name, []byte(`{"size": 1`+strings.Repeat(" ", 4096)+`}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func copyService(t *testing.T, dir, program string) {
	t.Helper()
	if err := os.CopyFS(dir, os.DirFS(service(t, program))); err != nil {
		t.Fatal(err)
	}
}
