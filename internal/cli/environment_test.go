package cli_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/qhubctl/qhubctl/internal/testenv"
	"github.com/qhubctl/qhubctl/sdk"
)

// kit is an environment with our kit: what most tests run services with.
var kit = sync.OnceValues(func() (string, error) {
	wheel, err := sdk.PythonWheel()
	if err != nil {
		return "", err
	}
	cache, err := testenv.CacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(wheel.Content)
	file := filepath.Join(cache, hex.EncodeToString(sum[:6]), wheel.Name)
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return "", err
	}
	if err := os.WriteFile(file, wheel.Content, 0o600); err != nil {
		return "", err
	}
	return testenv.Venv("kit", file)
})

// published is an environment with the kit that the recorded cases describe.
var published = sync.OnceValues(func() (string, error) { return testenv.Venv("published-cli", "qhub-commons==1.2.2") })

// need gives what one of the functions above has made.
func need(t testing.TB, made func() (string, error)) string {
	t.Helper()
	path, err := made()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// kitPython is the interpreter of the environment with our kit.
func kitPython(t testing.TB) string { return testenv.Program(need(t, kit), "python") }

// service writes a workspace with this program.
func service(t testing.TB, program string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "src"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "src", "program.py"), []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// plainEnv is an environment without secrets, with a home of its own.
func plainEnv(t testing.TB) []string {
	t.Helper()
	home := t.TempDir()
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_CACHE_HOME=" + home, "TMPDIR=" + t.TempDir()}
}
