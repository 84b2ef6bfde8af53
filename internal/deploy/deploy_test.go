package deploy_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/archive"
	"github.com/qhubctl/qhubctl/internal/deploy"
	"github.com/qhubctl/qhubctl/internal/plaintext"
)

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSelect(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"src/program.py": "", "src/__init__.py": "", "pyproject.toml": "", "data/model.bin": "", "data/big.csv": "", "data/keep.csv": "",
		".env": "", ".env.prod": "", ".git/config": "", ".venv/bin/python": "", ".qhub/x": "", "src/__pycache__/x.pyc": "",
		"server.key": "", "certs/ca.pem": "", "id_rsa": "", ".netrc": "",
		"logs/a.log": "", "logs/deep/b.log": "", "build/out": "", "src/build/kept.py": "", "note [1].txt": "", "vendor/sdk.whl": "",
		"docs/a/b/c.md": "", "docs/top.md": "", "#odd": "", "!odd": "", "tmp1": "", "tmpx": "", "sub/.gitignore": "local\n", "sub/local": "", "sub/other": "",
		".gitignore":  "# comment\n\n*.log\n/build/\ndata/*.csv\n!data/keep.csv\ndocs/**/c.md\n\\#odd\n\\!odd\ntmp[0-9]\nlocal-nothing  \r\n",
		".qhubignore": "note \\[1\\].txt\n",
	})
	if err := os.Symlink(dir, filepath.Join(dir, "loop")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "dangling")); err != nil {
		t.Fatal(err)
	}
	s, err := deploy.Select(dir)
	if err != nil {
		t.Fatalf("Select = %v", err)
	}
	want := []string{
		".gitignore", ".qhubignore", "data/keep.csv", "data/model.bin", "docs/top.md", "pyproject.toml", "src/__init__.py", "src/build/kept.py",
		"src/program.py", "sub/.gitignore", "sub/other", "tmpx", "vendor/sdk.whl",
	}
	if got := s.Names(); !slices.Equal(got, want) {
		t.Errorf("Select = %q, want %q", got, want)
	}
	reasons := map[string]string{}
	for _, l := range s.LeftOut {
		reasons[l.Name] = l.Reason
	}
	for name, want := range map[string]string{
		".env": "never", ".env.prod": "never", ".git": "never", "server.key": "keys", "certs/ca.pem": "keys", "id_rsa": "keys",
		"logs/a.log": "*.log", "build": "/build/", "loop": "link", "dangling": "nowhere", "sub/local": "sub/.gitignore", "#odd": `\#odd`,
	} {
		if !strings.Contains(reasons[name], want) {
			t.Errorf("%s is left out because %q, want a reason with %q", name, reasons[name], want)
		}
	}
	if _, err := deploy.Select(t.TempDir()); !errors.Is(err, deploy.ErrEmpty) {
		t.Errorf("Select(empty) = %v, want ErrEmpty", err)
	}
}

func TestPackRefusesSecrets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{"src/program.py": "KEY = 'a-real-token-0123456789'\n", "ok.txt": "nothing"})
	s, err := deploy.Select(dir)
	if err != nil {
		t.Fatal(err)
	}
	known := []plaintext.Named{{Name: "SECRET_KEY", Value: plaintext.New([]byte("a-real-token-0123456789"))}}
	_, err = deploy.Pack(s, known)
	refused, ok := errors.AsType[*deploy.SecretError](err)
	if !ok || !slices.Equal(refused.Files, []string{"src/program.py"}) || strings.Contains(err.Error(), "a-real-token") {
		t.Errorf("Pack with a secret in a file = %v, want a *SecretError that names it", err)
	}
	packed, err := deploy.Pack(s, nil)
	if err != nil {
		t.Fatalf("Pack = %v", err)
	}
	a, err := archive.Open(bytes.NewReader(packed), int64(len(packed)), archive.Limits{})
	if err != nil || !slices.Equal(a.Names(), s.Names()) || len(a.LeftOut) > 0 {
		t.Errorf("the archive has %q, %v; want %q", a.Names(), err, s.Names())
	}
}
