package runnertest

import "testing"

// Interpreter is one that has a package, such as "qhub-service==2.0.0". Its
// environment is made once and kept in the user's cache.
func Interpreter(t testing.TB, requirement string) string {
	t.Helper()
	dir, err := makeEnvironment("test-"+requirement, requirement)
	if err != nil {
		t.Fatal(err)
	}
	return inEnvironment(dir, "python")
}
