package runnertest

import (
	"testing"

	"github.com/qhubctl/qhubctl/internal/testenv"
)

// Interpreter is an interpreter with a package, such as "qhub-service==2.0.0". Its
// environment is made once and kept in the user's cache.
func Interpreter(t testing.TB, requirement string) string {
	t.Helper()
	dir, err := testenv.Venv("test", requirement)
	if err != nil {
		t.Fatal(err)
	}
	return testenv.Program(dir, "python")
}
