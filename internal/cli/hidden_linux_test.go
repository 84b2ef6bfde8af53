package cli_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/runner/runnertest"
	"github.com/qhubctl/qhubctl/internal/testenv"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// marker stands in all that must stay hidden.
const marker = "hidden-marker-7f3a51"

// spyProgram looks for the marker wherever it can read, and for what else it could
// do to the server. It gets the marker backwards, so that it has it in no file.
const spyProgram = `
import contextlib
import fcntl
import os
import pathlib
import time

HERE = pathlib.Path.cwd()
GO = HERE / "datapool" / "signal"


def wait_for(name):
    deadline = time.monotonic() + 60
    while not (GO / name).exists() and time.monotonic() < deadline:
        time.sleep(0.01)


def search(root, text):
    found = []
    for folder, folders, files in os.walk(root):
        if "/proc" in folder[len(root):] or "/sys" in folder[len(root):]:
            folders.clear()
        for name in files:
            path = os.path.join(folder, name)
            with contextlib.suppress(OSError, ValueError):
                if os.path.isfile(path) and os.path.getsize(path) < 1 << 20 and text in pathlib.Path(path).read_bytes():
                    found.append(path)
    return found


def lock_all():
    held = 0
    for folder in (HERE, HERE / ".qhub"):
        for path in [folder / "lock", *folder.rglob("*")]:
            with contextlib.suppress(OSError):
                descriptor = os.open(path, os.O_RDONLY)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                held += 1
    return held


def run(backwards: str, places: list[str], wait: str = "", lock: bool = False) -> dict:
    text = backwards[::-1].encode()
    held = lock_all() if lock else 0
    print("ready", flush=True)
    if wait:
        wait_for(wait)
    roots = [str(HERE), "/proc/self/root" + str(HERE), "/proc/self/cwd", *places]
    roots += [f"/proc/{pid}/{link}" for pid in os.listdir("/proc") if pid.isdigit() for link in ("cwd", "root/opt", f"root{HERE}")]
    return {
        "found": sorted({path for root in roots for path in search(root, text)}),
        "data": (HERE / "data.txt").read_text(), "held": held, "variables": [name for name, value in os.environ.items() if marker_in(value, text)],
        "cwd": os.getcwd(), "module": __file__,
    }


def marker_in(value, text):
    return text.decode() in value
`

func backwards(text string) string {
	b := []byte(text)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}

// spied is a served workspace full of secret files.
type spied struct {
	*served
	outside string // a folder that executions may read, with the token in it
}

func (s *spied) at(name string) string { return filepath.Join(s.dir, filepath.FromSlash(name)) }

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// readable lets the users of executions read a file, as warm starts need.
func readable(t *testing.T, path string) {
	t.Helper()
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
}

// replace does what editors do: another file takes the name.
func replace(t *testing.T, path, text string) {
	t.Helper()
	put(t, path+".new", text)
	rename(t, path+".new", path)
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func spy(t *testing.T, start string) *spied {
	t.Helper()
	dir := service(t, spyProgram)
	outside, err := os.MkdirTemp("/opt", "qhubctl-test-") //nolint:usetesting // executions may read it
	if err != nil {
		outside = filepath.Join(dir, "outside") // an ordinary user has the workspace alone
	} else {
		t.Cleanup(func() { _ = os.RemoveAll(outside) })
		if err := os.Chmod(outside, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for path, text := range map[string]string{
		"pyproject.toml": "[project]\nname = \"spied\"\n[tool.qhubctl]\nstart = \"" + start + "\"\n", "data.txt": "before", "datapool/signal/x": "",
		"conf/.env": marker, ".envrc": marker, ".netrc": marker, ".ENV": marker, ".aws/credentials": marker, ".git/config": marker,
		".env": "LETTERS=\"" + marker + "\"\n", "large/.env": marker, "large/deep/.env": marker, "datapool/pool/.env": marker, "datapool/pool/x": "x",
		"given.env": "# " + marker + "\n",
	} {
		put(t, filepath.Join(dir, filepath.FromSlash(path)), text)
	}
	readable(t, filepath.Join(dir, "datapool", "pool", "x"))
	readable(t, filepath.Join(dir, "datapool", "signal", "x"))
	block := bytes.Repeat([]byte("x"), 1<<20)
	for i := range 66 {
		at := filepath.Join(dir, "large", strconv.Itoa(i))
		put(t, at, string(block))
		readable(t, at) // the snapshot links files as large as these
	}
	if err := os.Link(filepath.Join(dir, ".env"), filepath.Join(dir, "linked")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(".env", filepath.Join(dir, "symlinked")); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(outside, "keys", "token"), marker+"-token\n")
	put(t, filepath.Join(outside, "keys", "other"), "")
	key := filepath.Join(dir, "keys", "master")
	if err := os.MkdirAll(filepath.Dir(key), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := vault.OpenFile(key); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	put(t, key, "# "+marker+"\n"+string(text))
	s := serveAny(t, dir, "--python", spyPython(t), "--auth=@"+filepath.Join(outside, "keys", "token"), "--master-key", "@"+key, "--env-file", filepath.Join(dir, "given.env"))
	t.Setenv("QHUBCTL_TOKEN", marker+"-token")
	return &spied{s, outside}
}

// pythonVariable names the interpreter of a test that an ordinary user runs.
const pythonVariable = "QHUBCTL_TEST_PYTHON"

func spyPython(t *testing.T) string {
	t.Helper()
	if python := os.Getenv(pythonVariable); python != "" {
		return python
	}
	return sdkPython(t)
}

// TestHiddenAsOrdinaryUser hides the same where the server is not root: an
// execution then is the same user.
func TestHiddenAsOrdinaryUser(t *testing.T) {
	testenv.NeedEverything(t)
	user := testenv.NewOrdinaryUser(t)
	const system = "/usr/bin/python3"
	if _, err := os.Stat(system); err != nil {
		t.Skip("needs a Python of the system, which every user can run: ", err)
	}
	packages := runnertest.Packages(t, runnertest.SDKPythonOf(t, system))
	environment := filepath.Join(user.Home, "python")
	python := filepath.Join(environment, "bin", "python")
	put(t, filepath.Join(environment, "pyvenv.cfg"), "home = /usr/bin\n")
	put(t, filepath.Join(filepath.Dir(python), "x"), "")
	if err := errors.Join(
		os.CopyFS(filepath.Join(environment, "lib", filepath.Base(filepath.Dir(packages)), "site-packages"), os.DirFS(packages)),
		os.Symlink(system, python),
	); err != nil {
		t.Fatal(err)
	}
	text := user.Run(t, "^(TestHiddenStaysHidden|TestLocksOfExecutions|TestFolderTakesDrafts|TestDraftsAreLockedApart)$", 9*time.Minute, pythonVariable+"="+python)
	if !strings.Contains(text, "--- PASS: TestHiddenStaysHidden/cold") {
		t.Logf("this machine gives an ordinary user no namespaces:\n%s", text)
	}
}

// begin starts an execution and waits until it runs.
func (s *spied) begin(more string) string {
	s.t.Helper()
	places, err := json.Marshal([]string{s.outside, "/etc"})
	if err != nil {
		s.t.Fatal(err)
	}
	out, errs, code := s.qhubctl("executions", "start", "-d", fmt.Sprintf(`{"backwards": %q, "places": %s%s}`, backwards(marker), places, more))
	if code != 0 {
		s.t.Fatalf("start: exit code %d: %s", code, errs)
	}
	id := strings.TrimSpace(out)
	until(s.t, "ready", func() string {
		out, errs, _ := s.qhubctl("executions", "log", id)
		return out + errs
	})
	return id
}

type sight struct {
	Found, Variables  []string
	Data, Cwd, Module string
	Held              int
}

// end waits for the result of an execution.
func (s *spied) end(id string) (seen sight) {
	s.t.Helper()
	until(s.t, "SUCCEEDED", func() string {
		out, _, _ := s.qhubctl("executions", "get", id)
		if strings.Contains(out, "FAILED") {
			log, _, _ := s.qhubctl("executions", "log", id)
			s.t.Fatalf("the execution failed: %s%s\n%s", out, log, s.said)
		}
		return out
	})
	out, errs, code := s.qhubctl("executions", "result", id)
	if code != 0 || json.Unmarshal([]byte(out), &seen) != nil {
		s.t.Fatalf("result: exit code %d: %s%s", code, out, errs)
	}
	return seen
}

// TestHiddenStaysHidden changes a workspace in every way that shows a hidden file
// where a mount covers it, while an execution runs.
func TestHiddenStaysHidden(t *testing.T) {
	needLayers(t, "filesystem")
	for _, start := range []string{"warm", "cold"} {
		t.Run(start, func(t *testing.T) {
			s := spy(t, start)
			if start == "warm" {
				s.untilWarm()
			}
			running := s.begin(`, "wait": "go"`)
			replace(t, s.at(".env"), "LETTERS=\""+marker+"\"\nMORE=1\n")
			replace(t, s.at("data.txt"), "after")
			put(t, s.at(".env.later"), marker)
			put(t, s.at("large/.env.later"), marker)
			put(t, s.at("given.env~"), marker)
			replace(t, s.at("given.env"), "# "+marker+"\n")
			if _, errs, code := call(t, "keys", "rotate", s.dir, "--master-key", "@"+s.at("keys/master")); code != 0 {
				t.Errorf("keys rotate: exit code %d: %s", code, errs)
			}
			replace(t, s.at("keys/master"), "# "+marker+"\n"+read(t, s.at("keys/master")))
			replace(t, filepath.Join(s.outside, "keys", "token"), marker+"-token\n")
			rename(t, filepath.Join(s.outside, "keys"), filepath.Join(s.outside, ".keys.old"))
			put(t, filepath.Join(s.outside, "keys", "token"), marker+"-token\n")
			put(t, s.at("conf.new/.env"), marker)
			rename(t, s.at("conf"), s.at("conf.old"))
			rename(t, s.at("conf.new"), s.at("conf"))
			until(t, "reloaded spied", s.said.String)
			put(t, s.at("datapool/signal/go"), "")
			seen := s.end(running)
			if len(seen.Found) > 0 || seen.Data != "before" {
				t.Errorf("the running execution found %q and %q, want nothing and \"before\"", seen.Found, seen.Data)
			}
			if seen.Cwd != s.dir || seen.Module != s.at("src/program.py") {
				t.Errorf("it ran in %s, its module in %s, want %s", seen.Cwd, seen.Module, s.dir)
			}
			until(t, `"after"`, func() string { // editors are done when the server has taken all over
				seen = s.end(s.begin(""))
				return fmt.Sprintf("%q", seen.Data)
			})
			if len(seen.Found) > 0 {
				t.Errorf("an execution that started later found %q", seen.Found)
			}
			s.untilOneRevision()
			if code := s.stop(); code != 0 {
				t.Errorf("the server ended with %d: %s", code, s.said)
			}
			if left, err := os.ReadDir(s.at(".qhub/serve/revisions")); err != nil || len(left) > 0 {
				t.Errorf("snapshots are left: %v, %v", left, err)
			}
		})
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// untilWarm waits until executions start as forks.
func (s *spied) untilWarm() {
	s.t.Helper()
	until(s.t, `"warm":true`, func() string {
		text, _ := os.ReadFile(s.at(".qhub/start.json"))
		return string(text)
	})
}

// untilOneRevision waits until the snapshots of former revisions are gone.
func (s *spied) untilOneRevision() {
	s.t.Helper()
	until(s.t, "[1]", func() string {
		revisions, err := filepath.Glob(s.at(".qhub/serve/revisions/*/[0-9]*"))
		return fmt.Sprint([]int{len(revisions)}, revisions, err)
	})
}

// poolProgram returns the files in a data pool.
const poolProgram = `
import os
from qhub.commons.datapool import DataPool


def run(words: DataPool) -> dict:
    return {"files": sorted(os.listdir(os.path.realpath(words.path))), "there": sorted(os.listdir("datapool/words"))}
`

// TestDataPoolAfterTheSnapshot gives an execution the current state of a data
// pool, also of one that was made after the snapshot.
func TestDataPoolAfterTheSnapshot(t *testing.T) {
	needLayers(t, "filesystem")
	for _, start := range []string{"warm", "cold"} {
		t.Run(start, func(t *testing.T) {
			dir := service(t, poolProgram)
			put(t, filepath.Join(dir, "pyproject.toml"), "[tool.qhubctl]\nstart = \""+start+"\"\n")
			s := &spied{served: serve(t, dir)}
			if start == "warm" {
				s.untilWarm()
			}
			for i, want := range []string{`["a"]`, `["a","b"]`} {
				put(t, s.at("datapool/words/"+string(rune('a'+i))), "x")
				out, errs, code := s.qhubctl("executions", "start", "-d", "{}", "--wait")
				out = strings.Join(strings.Fields(out), "")
				if code != 0 || !strings.Contains(out, `"files":`+want) || !strings.Contains(out, `"there":`+want) {
					t.Errorf("exit code %d: %s%s, want %s", code, out, errs, want)
				}
			}
		})
	}
}

// TestLocksOfExecutions has an execution lock all that it can open.
func TestLocksOfExecutions(t *testing.T) {
	needLayers(t, "filesystem")
	for _, start := range []string{"warm", "cold"} {
		t.Run(start, func(t *testing.T) {
			s := spy(t, start)
			if start == "warm" {
				s.untilWarm()
			}
			running := s.begin(`, "wait": "go", "lock": true`)
			put(t, s.at("pyproject.toml"), read(t, s.at("pyproject.toml"))+"\n")
			if _, errs, code := call(t, "describe", s.dir, "--python", spyPython(t)); code != 0 {
				t.Errorf("describe: exit code %d: %s", code, errs)
			}
			replace(t, s.at("data.txt"), "after")
			until(t, "reloaded spied", s.said.String)
			put(t, s.at("datapool/signal/go"), "")
			if seen := s.end(running); seen.Held == 0 {
				t.Error("the execution could lock nothing, so this has tested nothing")
			}
		})
	}
}
