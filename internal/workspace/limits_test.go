package workspace_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/limits"
	"github.com/qhubctl/qhubctl/internal/workspace"
)

func TestLimits(t *testing.T) {
	all := `memory = "512MiB"
cpu = 1.5
processes = 64
time = "5m"
output = "100 MB"
log = 2048
open-files = 256
temp = "1GiB"
`
	want := limits.Limits{
		Memory: 512 << 20, CPU: 1.5, Processes: 64, Time: 5 * time.Minute, Output: 100_000_000, Log: 2048, OpenFiles: 256, Temp: 1 << 30,
	}
	t.Run("pyproject.toml", func(t *testing.T) {
		dir := newService(t)
		write(t, "[tool.qhubctl.limits]\n"+all, dir, "pyproject.toml")
		if got := open(t, dir).Limits; got != want {
			t.Errorf("the limits are %+v, want %+v", got, want)
		}
		write(t, "[limits]\ncpu = 2\n", dir, "qhubctl.toml")
		want := want
		want.CPU = 2
		if got := open(t, dir).Limits; got != want {
			t.Errorf("with a separate file: %+v, want %+v", got, want)
		}
	})
	t.Run("qhubctl.toml of Go", func(t *testing.T) {
		dir := t.TempDir()
		write(t, "module tested\n\ngo 1.26\n", dir, "go.mod")
		write(t, "package main\n\nfunc main() {}\n", dir, "main.go")
		write(t, "[limits]\n"+all, dir, "qhubctl.toml")
		if got := open(t, dir).Limits; got != want {
			t.Errorf("the limits are %+v, want %+v", got, want)
		}
	})
	t.Run("none", func(t *testing.T) {
		if got := open(t, newService(t)).Limits; got != (limits.Limits{}) {
			t.Errorf("the limits are %+v, want none", got)
		}
	})
}

func TestWrongLimits(t *testing.T) {
	for text, want := range map[string]string{
		`memory = "much"`:           `memory is "much": it is no size`,
		`memory = "1KiB"`:           "it is less than 16777216 bytes",
		`memory = -1`:               "it is less than",
		`memory = 1.5`:              "it is no size",
		`memory = "99999999999TiB"`: "it is no size",
		`cpu = 0`:                   "must be from 0.01 to 65536 cores",
		`cpu = nan`:                 "must be from 0.01 to 65536 cores",
		`cpu = true`:                "it is no number of cores",
		`processes = 0`:             "must be a whole number, at least 1",
		`processes = 1.5`:           "must be a whole number, at least 1",
		`processes = 3000000000`:    "must be a whole number, at least 1",
		`time = 5`:                  `it is no time, such as "30s" or "5m"`,
		`time = "-5m"`:              "it is no time",
		`open-files = 3`:            "must be a whole number, at least 16",
		`output = ""`:               "it is no size",
		`log = []`:                  "it is no size",
		`temp = "1"`:                "it is less than 4096 bytes",
		`threads = 3`:               "there is no such limit; there are memory, cpu",
	} {
		for file, table := range map[string]string{"pyproject.toml": "[tool.qhubctl.limits]", "qhubctl.toml": "[limits]"} {
			dir := newService(t)
			write(t, table+"\n"+text+"\n", dir, file)
			_, err := workspace.Open(dir)
			wrong, ok := errors.AsType[*workspace.Error](err)
			if !ok || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file+": "+table) || wrong.Advice == "" {
				t.Errorf("Open(%s in %s) = %v, want %q, the table and a hint", text, file, err, want)
			}
		}
	}
	for text, want := range map[string]string{"limits = 3": "[limits] is no table", "[limit]\ncpu = 1": `"limit" means nothing here`, "[": "cannot read"} {
		dir := newService(t)
		write(t, text, dir, "qhubctl.toml")
		if _, err := workspace.Open(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%q) = %v, want %q", text, err, want)
		}
	}
}

func TestNetwork(t *testing.T) {
	for _, test := range []struct{ project, file, want string }{
		{"", "", ""},
		{"[tool.qhubctl]\nnetwork = \"none\"\n", "", "none"},
		{"", "network = \"loopback\"\n\n[limits]\ncpu = 1\n", "loopback"},
		{"[tool.qhubctl]\nnetwork = \"none\"\n", "network = \"full\"\n", "full"}, // the same rule as for limits
	} {
		dir := newService(t)
		write(t, test.project, dir, "pyproject.toml")
		write(t, test.file, dir, "qhubctl.toml")
		if got := open(t, dir).Network; got != test.want {
			t.Errorf("Open(%+v).Network = %q, want %q", test, got, test.want)
		}
	}
	for text, file := range map[string]string{
		"[tool.qhubctl]\nnetwork = \"half\"\n": "pyproject.toml", "network = \"half\"\n": "qhubctl.toml", "network = 3\n": "qhubctl.toml",
	} {
		dir := newService(t)
		write(t, text, dir, file)
		if _, err := workspace.Open(dir); err == nil || !strings.Contains(err.Error(), "it is none of full, loopback, none") {
			t.Errorf("Open(%q) = %v, want an error that lists the networks", text, err)
		}
	}
	order := []string{"", "full", "loopback", "none"}
	for i, a := range order {
		for j, b := range order {
			if got := workspace.StricterNetwork(a, b); got != order[max(i, j)] {
				t.Errorf("StricterNetwork(%q, %q) = %q, want %q", a, b, got, order[max(i, j)])
			}
		}
	}
}

func TestLimitsAsText(t *testing.T) {
	var got limits.Limits
	for name, text := range map[string]string{"memory": "1GiB", "cpu": "0.5", "processes": "7", "time": "1h", "cpu-time": "90s", "open-files": "99"} {
		if err := workspace.SetLimit(&got, name, text); err != nil {
			t.Errorf("SetLimit(%s, %s) = %v, want nil", name, text, err)
		}
	}
	want := limits.Limits{Memory: 1 << 30, CPU: 0.5, Processes: 7, Time: time.Hour, CPUTime: 90 * time.Second, OpenFiles: 99}
	if got != want {
		t.Errorf("after Set the limits are %+v, want %+v", got, want)
	}
	for _, text := range []string{"", "x", "1\nx = 2", "'1'", "1.5.5"} {
		if err := workspace.SetLimit(&got, "processes", text); err == nil {
			t.Errorf("SetLimit(processes, %q) = nil, want an error", text)
		}
	}
}

func TestLimitsAreDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range workspace.LimitNames() {
		if !strings.Contains(string(page), "\n| `"+name+"` | ") {
			t.Errorf("docs/security.md does not list the limit %s, want it in the table", name)
		}
	}
}

// TestLimitsThatChanged: a change of the limits counts like a change of code.
func TestLimitsThatChanged(t *testing.T) {
	dir := newService(t)
	write(t, "[limits]\ncpu = 1\n", dir, "qhubctl.toml")
	w := open(t, dir)
	env := &workspace.Environment{Python: filepath.Join(dir, "python")}
	write(t, "", dir, "python")
	key := w.WatchKey(env)
	if key == "" || w.Changed(env, key) {
		t.Fatalf("Changed(nothing) = true or an empty key %q, want no change", key)
	}
	for _, text := range []string{"network = \"none\"\n[limits]\ncpu = 1\n", "[limits]\ncpu = 2\n", "[limits]\ncpu = 'all'\n", ""} {
		write(t, text, dir, "qhubctl.toml")
		if !w.Changed(env, key) {
			t.Errorf("Changed(%q) = false, want true", text)
		}
	}
}
