package testenv

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// refsTags are those of the Makefile.
const refsTags = "custom_providers,vault,aws,gcp,azure,sops"

// References returns the path of the program qhubctl-refs, which it builds. It skips the
// test where the modules of that program cannot be had.
func References(t testing.TB) string {
	t.Helper()
	path, err := references()
	if err != nil {
		t.Skipf("the program that resolves references cannot be built: %v", err)
	}
	return path
}

var references = sync.OnceValues(func() (string, error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/qhubctl/qhubctl").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	// Test binaries of several packages build it at once: each has a separate file.
	dir, err := os.MkdirTemp(cache, "refs-")
	if err != nil {
		return "", err
	}
	made := filepath.Join(dir, "qhubctl-refs")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", refsTags, "-ldflags", "-s -w", "-o", made, ".")
	build.Dir = filepath.Join(string(root[:len(root)-1]), "refs")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	bin := filepath.Join(cache, "refs")
	if err := os.MkdirAll(bin, 0o750); err != nil {
		return "", err
	}
	path := filepath.Join(bin, "qhubctl-refs")
	if err := os.Rename(made, path); err != nil {
		return "", err
	}
	return path, os.Remove(dir)
})
