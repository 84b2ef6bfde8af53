package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const linkedPoolProgram = `
import os

from qhub.commons.datapool import DataPool


def run(models: DataPool) -> dict:
    found = {}
    for folder, _, files in os.walk(os.path.join(os.environ["DATAPOOL_DIRECTORY"], "models") + "/."):
        for name in files:
            if not os.path.exists(os.path.join(folder, name)):
                continue
            with open(os.path.join(folder, name)) as file:
                found[name] = file.read()
    return dict(sorted(found.items()))
`

// TestLinksInDataPools has data pools that are links, and hold links.
func TestLinksInDataPools(t *testing.T) {
	elsewhere := t.TempDir()
	if err := os.Chmod(elsewhere, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, start := range []string{"warm", "cold"} {
		t.Run(start, func(t *testing.T) {
			for _, c := range []struct {
				name  string
				files map[string]string // by their paths; with links to what stands behind ->
				want  string            // in the result, or in the error
				fails bool
			}{
				{"a pool that is a link", map[string]string{"@/a": "text", "datapool/models": "-> @"}, `"a":"text"`, false},
				{"a link inside", map[string]string{"datapool/models/a": "text", "datapool/models/b": "-> a", "datapool/models/c/d": "-> ../b"}, `"a":"text","b":"text","d":"text"`, false},
				{"an absolute link inside", map[string]string{"datapool/models/a": "text", "datapool/models/b": "-> ./datapool/models/a"}, `"a":"text","b":"text"`, false},
				{"a link to the workspace", map[string]string{"data.txt": "text", "datapool/models/b": "-> ./data.txt"}, `"b":"text"`, false},
				{"a link to the system", map[string]string{"datapool/models/b": "-> /etc/passwd"}, `"b":"`, false},
				{"a link to nothing", map[string]string{"datapool/models/a": "text", "datapool/models/b": "-> nothing"}, `"a":"text"`, false},
				{"a link outside", map[string]string{"@/a": "text", "datapool/models/c/b": "-> @/a"}, "links to files that executions cannot see: c/b;", true},
				{"secrets in a pool that is a link", map[string]string{
					"@/a": "text", "@/.env": "A=b", "@/in/.netrc": "b", "@/.aws/credentials": "b", "datapool/models": "-> @",
				}, `{"a":"text"}`, false},
				{"a pool that is a link to secrets", map[string]string{".aws/credentials": "b", "datapool/models": "-> ../.aws"}, "cannot see the data pool", true},
				{"a pool that is a link to /tmp", map[string]string{"datapool/models": "-> /tmp"}, "cannot see the data pool", true},
				{"a pool that is a link to /", map[string]string{"datapool/models": "-> /"}, "cannot see the data pool", true},
				{"a link to a hidden file", map[string]string{".env": "A=b", "datapool/models/b": "-> ../../.env"}, "cannot see: b;", true},
			} {
				t.Run(c.name, func(t *testing.T) {
					dir, outside := service(t, linkedPoolProgram), filepath.Join(elsewhere, filepath.Base(t.Name()))
					place := func(path string) string {
						switch {
						case strings.HasPrefix(path, "@"):
							return outside + path[1:]
						case strings.HasPrefix(path, "./"):
							return filepath.Join(dir, path)
						}
						return path
					}
					put(t, filepath.Join(dir, "pyproject.toml"), "[project]\nname = \"tested\"\nversion = \"1\"\n[tool.qhubctl]\nstart = \""+start+"\"\n")
					for path, text := range c.files {
						at := place(path)
						if !filepath.IsAbs(at) {
							at = filepath.Join(dir, at)
						}
						target, isLink := strings.CutPrefix(text, "-> ")
						if !isLink {
							put(t, at, text)
							readable(t, at)
							continue
						}
						if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
							t.Fatal(err)
						}
						if err := os.Symlink(place(target), at); err != nil {
							t.Fatal(err)
						}
					}
					s := serve(t, dir, "--metrics", "127.0.0.1:0")
					until(t, `service_start_info{start="`+start+`"`, s.metricsText)
					out, errs, code := s.qhubctl("executions", "start", "-d", `{}`, "--wait")
					if c.fails {
						if code != 2 || !strings.Contains(errs, c.want) {
							t.Errorf("exit code %d: %s, want 2 and %q", code, errs, c.want)
						}
						return
					}
					if got := strings.NewReplacer(" ", "", "\n", "").Replace(out); code != 0 || !strings.Contains(got, c.want) {
						t.Errorf("exit code %d: %s%s, want %s", code, got, errs, c.want)
					}
					if text := s.metricsText(); !strings.Contains(text, `qhubctl_execution_starts_total{start="`+start+`"`) {
						t.Errorf("it did not start %s: %s", start, text)
					}
				})
			}
		})
	}
}

// TestSecretsInNewDataPools makes data pools with secrets when the service is
// served already, one in the workspace and one elsewhere.
func TestSecretsInNewDataPools(t *testing.T) {
	for _, linked := range []bool{false, true} {
		dir := service(t, linkedPoolProgram)
		s := serve(t, dir, "--no-reload")
		pool := filepath.Join(dir, "datapool", "models")
		if linked {
			elsewhere := t.TempDir()
			if err := os.MkdirAll(filepath.Dir(pool), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(elsewhere, pool); err != nil {
				t.Fatal(err)
			}
			pool = elsewhere
		}
		for path, text := range map[string]string{"a": "text", ".env": "A=b", "in/.netrc": "b", ".aws/credentials": "b"} {
			put(t, filepath.Join(pool, path), text)
		}
		out, errs, code := s.qhubctl("executions", "start", "-d", `{}`, "--wait")
		if got := strings.NewReplacer(" ", "", "\n", "").Replace(out); code != 0 || got != `{"a":"text"}` {
			t.Errorf("a new data pool, linked %t: exit code %d: %s%s, want the file that holds no secret", linked, code, got, errs)
		}
	}
}
