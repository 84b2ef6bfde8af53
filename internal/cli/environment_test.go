package cli_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/qhubctl/qhubctl/internal/runner/runnertest"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

// SDK is an environment with our SDK, what most tests run services with;
// published is one with the SDK that the recorded cases describe.
var sdk, upstream = runnertest.SDKEnvironment, runnertest.PublishedEnvironment

// need gives what one of the functions above has made.
func need(t testing.TB, made func() (string, error)) string {
	t.Helper()
	path, err := made()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// sdkPython is the interpreter of the environment with our SDK.
func sdkPython(t testing.TB) string { return testenv.Program(need(t, sdk), "python") }

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

// plainEnv is an environment without secrets and with a separate home.
func plainEnv(t testing.TB) []string {
	t.Helper()
	home := t.TempDir()
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_CACHE_HOME=" + home, "TMPDIR=" + t.TempDir()}
}
