//go:build unix

package runner_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/qhubctl/qhubctl/internal/redact"
	"github.com/qhubctl/qhubctl/internal/runner"
)

// TestSkippedEntries leaves entries that are no result files: Skipped names them.
func TestSkippedEntries(t *testing.T) {
	f := newDir(t)
	deep := filepath.Join(f.Output(), strings.Repeat("d/", 33))
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, "kept", filepath.Dir(deep), "kept.txt")
	write(t, "x", deep, "lost.txt")
	if err := os.Symlink("d", filepath.Join(f.Output(), "the-secret-link")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(f.Output(), "a\npipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	result, err := runner.ReadResult(output(t, f))
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Repeat("d/", 32) + "kept.txt"; len(result.Files) != 1 || result.Files[0] != want {
		t.Errorf("ReadResult().Files = %q, want %q", result.Files, want)
	}
	masker := redact.New([]redact.Secret{{Name: "token", Value: []byte("the-secret-link")}})
	got := runner.SkippedText(result.Skipped, masker)
	want := `not kept, as only files in at most 32 folders are results: "a\npipe", "` + strings.TrimSuffix(strings.Repeat("d/", 33), "/") + `", "[redacted]"`
	if got != want {
		t.Errorf("SkippedText(entries) = %s, want %s", got, want)
	}
	got = runner.SkippedText(append(result.Skipped, "1", "2", "3", "4"), masker)
	if !strings.HasSuffix(got, ` "1", "2" and 2 more`) {
		t.Errorf("SkippedText(7 entries) = %s, want 5 and a number", got)
	}
}
