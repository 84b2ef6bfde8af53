package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// draftsProgram writes in its folder, when it is imported and when it runs, in all
// the ways in which it can.
const draftsProgram = `
import errno
import fcntl
import os
import pathlib
import shutil
import sqlite3
import time

os.makedirs("made/at/import", exist_ok=True)
pathlib.Path("made/at/import/text").write_text("imported")
pathlib.Path("data.bin").exists()


def tried(action):
    try:
        action()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "ok"


def lock():
    with open("data.txt") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        print("locked", flush=True)
        while os.path.exists("datapool/signal/wait"):
            time.sleep(0.01)


def is_private():
    if os.stat("folder/kept").st_mode & 0o077:
        raise PermissionError(errno.EPERM, "others may open the file")


def rename():
    pathlib.Path("a").write_text("a")
    os.makedirs("b/c")
    os.rename("a", "b/c/a")
    os.rename("folder/kept", "b/kept")


def move(folder):
    folder = pathlib.Path(folder)
    (folder / "d" / "e").mkdir(parents=True)
    (folder / "f").write_text("f")
    os.rename(folder / "f", folder / "d" / "e" / "f")


def remove():
    os.unlink("folder/other")
    os.rmdir("folder")
    os.mkdir("folder")
    if os.listdir("folder"):
        raise FileExistsError(errno.EEXIST, "the folder still has its files")


def database():
    connection = sqlite3.connect("own.db")
    with connection:
        connection.execute("create table own (number)")
        connection.execute("insert into own values (1)")


def fill():
    with open("full", "wb") as file:
        for _ in range(9):
            file.write(bytes(1 << 20))


def run(of: str = "") -> dict:
    if of == "lock":
        lock()
        return {}
    before = sorted(str(path) for path in pathlib.Path().rglob("*") if path.is_file() and path.parts[0] not in ("src", "datapool", "pyproject.toml"))
    return {
        "cwd": os.getcwd(), "before": before, "imported": pathlib.Path("made/at/import/text").read_text(),
        "new": tried(lambda: pathlib.Path("new.txt").write_text("new")),
        "changed": tried(lambda: pathlib.Path("data.txt").write_text("changed")),
        "appended": tried(lambda: open("made/at/import/text", "a").write("!")),
        "beside sources": tried(lambda: pathlib.Path("src/new.py").write_text("new")),
        "private": tried(is_private), "copied over": tried(lambda: shutil.copy("src/program.py", "folder/other")),
        "folder renamed": tried(lambda: os.rename("folder", "another")), "folder moved": tried(lambda: shutil.move("movable", "moved")),
        "renamed": tried(rename), "moved in /tmp": tried(lambda: move("/tmp")), "moved at home": tried(lambda: move(os.environ["HOME"])),
        "moved in the output": tried(lambda: move(os.environ["OUTPUT_DIRECTORY"])),
        "removed": tried(remove), "database": tried(database), "locked": tried(lock),
        "in a data pool": tried(lambda: pathlib.Path("datapool/pool/new").write_text("new")),
        "beside it all": tried(lambda: pathlib.Path("/new").write_text("new")),
        "full": tried(fill), "data": pathlib.Path("data.txt").read_text(),
    }
`

func draftsService(t *testing.T, start string) (dir string) {
	t.Helper()
	dir = service(t, draftsProgram)
	for path, text := range map[string]string{
		"data.txt": "data", "folder/kept": "kept", "folder/other": "other", "movable/x": "x", "datapool/pool/x": "x", "datapool/signal/x": "x",
		"pyproject.toml": "[project]\nname = \"tested\"\nversion = \"1\"\n[tool.qhubctl]\nstart = \"" + start + "\"\n[tool.qhubctl.limits]\ntemp = \"8MiB\"\n",
	} {
		put(t, filepath.Join(dir, path), text)
	}
	for _, path := range []string{"datapool/pool/x", "datapool/signal/x"} {
		readable(t, filepath.Join(dir, path))
	}
	return dir
}

// TestFolderTakesDrafts has executions write in the folder of their service: they
// can, as by run, and no other execution and no file on the disk sees it.
func TestFolderTakesDrafts(t *testing.T) {
	for _, start := range []string{"warm", "cold"} {
		t.Run(start, func(t *testing.T) {
			dir := draftsService(t, start)
			s := serve(t, dir, "--metrics", "127.0.0.1:0")
			until(t, `service_start_info{start="`+start+`"`, s.metricsText)
			for range 2 {
				got := s.drafts(t)
				if !slices.Equal(got.Before, []string{"data.txt", "folder/kept", "folder/other", "made/at/import/text", "movable/x"}) || got.Imported != "imported" {
					t.Errorf("an execution finds %q, and %q written at the import, want the files of the workspace and of its import", got.Before, got.Imported)
				}
				for what, answer := range got.answers {
					want := "ok"
					switch what {
					case "in a data pool", "beside it all":
						want = "EROFS"
					case "full":
						want = "ENOSPC"
					case "folder renamed":
						want = "EXDEV"
					case "private":
						if os.Geteuid() == 0 {
							want = "EPERM"
						}
					case "copied over":
						if start == "warm" && os.Geteuid() == 0 {
							want = "EPERM"
						}
					}
					if answer != want {
						t.Errorf("%s: %s, want %s", what, answer, want)
					}
				}
				if got.Data != "changed" || got.Cwd != dir {
					t.Errorf("what it has written reads %q in %s, want \"changed\" in %s", got.Data, got.Cwd, dir)
				}
			}
			for path, want := range map[string]string{"data.txt": "data", "folder/kept": "kept", "folder/other": "other"} {
				if text, err := os.ReadFile(filepath.Join(dir, path)); err != nil || string(text) != want {
					t.Errorf("on the disk %s holds %q, %v, want %q", path, text, err, want)
				}
			}
			for _, path := range []string{"new.txt", "own.db", "b", "made", "src/new.py"} {
				if _, err := os.Lstat(filepath.Join(dir, path)); err == nil {
					t.Errorf("%s is on the disk, want it gone with the execution", path)
				}
			}
		})
	}
}

// TestDraftsAreLockedApart has an execution lock a file of the workspace while
// another one does.
func TestDraftsAreLockedApart(t *testing.T) {
	for _, start := range []string{"warm", "cold"} {
		t.Run(start, func(t *testing.T) {
			dir := draftsService(t, start)
			wait := filepath.Join(dir, "datapool", "signal", "wait")
			put(t, wait, "")
			readable(t, wait)
			s := serve(t, dir, "--metrics", "127.0.0.1:0", "--concurrency", "2")
			until(t, `service_start_info{start="`+start+`"`, s.metricsText)
			out, errs, code := s.qhubctl("executions", "start", "-d", `{"of": "lock"}`)
			if code != 0 {
				t.Fatalf("start: exit code %d: %s", code, errs)
			}
			first := strings.TrimSpace(out)
			until(t, "locked", func() string { out, errs, _ := s.qhubctl("executions", "log", first); return out + errs })
			second, errs, code := s.qhubctl("executions", "start", "-d", `{"of": "lock"}`)
			if code != 0 {
				t.Fatalf("start: exit code %d: %s", code, errs)
			}
			second = strings.TrimSpace(second)
			until(t, "locked", func() string { out, errs, _ := s.qhubctl("executions", "log", second); return out + errs })
			if err := os.Remove(wait); err != nil {
				t.Fatal(err)
			}
			for _, id := range []string{first, second} {
				s.get("/" + id + "?wait=60s")
				if out, errs, _ := s.qhubctl("executions", "get", id); !strings.Contains(out, "SUCCEEDED") {
					t.Errorf("an execution that locks a file which another one has locked ends %s%s, want SUCCEEDED", out, errs)
				}
			}
		})
	}
}

type drafted struct {
	Cwd, Imported, Data string
	Before              []string
	answers             map[string]string
}

// drafts runs an execution that writes.
func (s *served) drafts(t *testing.T) (got drafted) {
	t.Helper()
	out, errs, code := s.qhubctl("executions", "start", "-d", `{}`, "--wait")
	if code != 0 {
		t.Fatalf("start: exit code %d: %s", code, errs)
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	got.answers = map[string]string{}
	var all map[string]any
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"new", "changed", "appended", "beside sources", "private", "copied over", "folder renamed", "folder moved", "renamed", "moved in /tmp", "moved at home", "moved in the output", "removed", "database", "in a data pool", "beside it all", "full"} {
		answer, _ := all[what].(string)
		got.answers[what] = answer
	}
	return got
}
