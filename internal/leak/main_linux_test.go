package leak_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/qhubctl/qhubctl/internal/testenv"
)

// buildDir lives as long as the tests.
var buildDir string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "qhubctl-leak-")
		if err != nil {
			panic(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		buildDir = dir
		return m.Run()
	}())
}

var built = sync.OnceValues(func() (string, error) { return testenv.Build(buildDir) })

// program is the path of qhubctl, built in the normal way.
func program(t *testing.T) string {
	t.Helper()
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "qhubctl")
}
