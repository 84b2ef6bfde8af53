package workspace

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// TestReadsNoLargeFilesIntoMemory has the records and the code of a service be sparse
// files, which cost nothing where they are made.
func TestReadsNoLargeFilesIntoMemory(t *testing.T) {
	const size = 128 << 20
	dir := t.TempDir()
	info := filepath.Join(dir, ".venv", "lib", "python3.12", "site-packages", "a.dist-info")
	if err := os.MkdirAll(info, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(info, "direct_url.json"), filepath.Join(dir, "large.py")} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	key := (&Workspace{Dir: dir}).SourceKey(&Environment{Dir: filepath.Join(dir, ".venv"), Python: filepath.Join(dir, ".venv", "bin", "python")})
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; key == "" || allocated > size/8 {
		t.Errorf("SourceKey = %q, with %d bytes of memory; want a key, with much less than a file has", key, allocated)
	}
	if _, err := hashFile(os.DevNull); err == nil {
		t.Errorf("hashFile(%s) = nil, want an error: it is no file", os.DevNull)
	}
}
